/** Documents as an engine could have made them, for tests of views. */
import type { CertificateStatus } from '../domains/status.ts';
import type { StaplingStatus } from '../ocsp/status.ts';
import type { DomainInService, StatusDocument, StatusQuery, StatusSource } from './document.ts';
import { countDomains, type DomainSource, selectDomains } from './select.ts';
import { countStapling, stapledOwners } from './stapling.ts';

export const NOW: number = Date.parse('2026-11-22T06:00:00Z');
export const DAY = 86_400_000;

export function certificate(overrides: Partial<CertificateStatus> = {}): CertificateStatus {
  return {
    key: 'P-256',
    keyType: 'ec',
    serial: '0A',
    notBefore: NOW - DAY,
    notAfter: NOW + 89 * DAY,
    names: ['a.test'],
    issuerName: '/CN=CA',
    sha256: '00',
    ariCertId: undefined,
    ...overrides,
  };
}

/** In the best of states. */
export function domain(overrides: Partial<DomainInService> = {}): DomainInService {
  const name = overrides.name ?? 'a.test';
  const names = overrides.names ?? [name];
  return {
    name,
    names,
    state: 'complete',
    description: '',
    expired: false,
    renewMode: 'auto',
    certificates: [certificate({ names })],
    renewAt: NOW + 59 * DAY,
    reasons: [],
    nextRun: NOW + 59 * DAY,
    lastRun: NOW - DAY,
    running: false,
    activity: undefined,
    errors: 0,
    problem: undefined,
    problems: [],
    hold: undefined,
    authority: 'local',
    staged: undefined,
    unserved: undefined,
    watched: true,
    md: {
      name,
      domains: names,
      contacts: [],
      transitive: 1,
      ca: { proto: 'ACME', url: 'local', urls: ['local'], agreement: 'accepted' },
      state: 2,
      'renew-mode': 1,
      'renew-window': '33%',
      'warn-window': '10%',
      'must-staple': false,
      proto: { 'acme-tls/1': [] },
      stapling: false,
      'profile-mandatory': false,
      'ari-renewals': true,
    },
    job: {
      name,
      finished: false,
      notified: false,
      'notified-renewed': false,
      errors: 0,
      last: { status: 0 },
    },
    log: [],
    ...overrides,
  };
}

export function document(
  domains: readonly DomainInService[],
  query?: StatusQuery,
  stapling: readonly StaplingStatus[] = [],
): StatusDocument {
  const selected = selectDomains(sourceOf(domains), query);
  const owners = stapledOwners(selected.domains, query);
  return {
    version: '1',
    now: NOW,
    started: NOW - 3_600_000,
    generation: 1,
    workers: [{ id: 1, pid: 1 }],
    tableFull: false,
    problems: [],
    stapling: stapling.filter(({ domain }) => owners?.has(domain) !== false),
    staplingCounts: countStapling(stapling, NOW),
    counts: countDomains(domains),
    ...selected,
  };
}

function sourceOf(domains: readonly DomainInService[]): DomainSource {
  const named = (name: string) => domains.filter((domain) => domain.name === name);
  return {
    names: domains.map(({ name }) => name),
    find: (wanted) => domains.find(({ names }) => names.includes(wanted))?.name ?? named(wanted)[0]?.name,
    describe: (names) => names?.flatMap(named) ?? domains,
  };
}

export function source(
  domains: readonly DomainInService[],
  stapling: readonly StaplingStatus[] = [],
): StatusSource {
  return {
    status: async (query) => document(domains, query, stapling),
    metrics: async () => 'up 1\n',
  };
}

export function staple(overrides: Partial<StaplingStatus> = {}): StaplingStatus {
  return {
    id: 'c0ffee',
    domain: 'a.test',
    serial: '0A',
    names: ['a.test'],
    status: 'good',
    valid: { from: NOW - DAY, until: NOW + 6 * DAY },
    responder: 'http://ocsp.test/',
    stapled: true,
    impossible: '',
    mustStaple: false,
    warning: '',
    activity: 'next request later',
    errors: 0,
    problem: undefined,
    lastRun: NOW - DAY,
    nextRun: NOW + 3 * DAY,
    ...overrides,
  };
}
