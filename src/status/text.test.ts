import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { DomainInService, StatusDocument } from './document.ts';
import { details, overview } from './text.ts';

const NOW = Date.parse('2026-11-22T06:00:00Z');
const DAY = 86_400_000;

function domain(overrides: Partial<DomainInService> = {}): DomainInService {
  return {
    name: 'a.test',
    names: ['a.test'],
    state: 'complete',
    description: '',
    expired: false,
    renewMode: 'auto',
    certificates: [
      {
        key: 'P-256',
        keyType: 'ec',
        serial: '0A',
        notBefore: NOW - DAY,
        notAfter: NOW + 89 * DAY,
        names: ['a.test'],
        issuerName: 'CN=CA',
        sha256: '00',
      },
    ],
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
    log: [],
    ...overrides,
  };
}

function document(...domains: DomainInService[]): StatusDocument {
  const workers = [{ id: 1, pid: 1 }];
  return {
    version: '1',
    now: NOW,
    started: NOW,
    generation: 1,
    workers,
    tableFull: false,
    problems: [],
    domains,
  };
}

suite('the status for people', () => {
  test('calls a domain ok whose certificates are served, and says what serves instead of them', () => {
    assert.match(overview(document(domain())), /^a\.test +ok /m);
    const idle = domain({ unserved: 'SSLCertificateFile at /httpd.conf:6 keeps serving' });
    const shown = overview(document(idle));
    assert.match(shown, /^a\.test +not served /m);
    assert.match(shown, /^a\.test:\n +not served: SSLCertificateFile at \/httpd\.conf:6 keeps serving$/m);
    assert.match(details(idle, NOW), /^ +not served: SSLCertificateFile at \/httpd\.conf:6 keeps serving$/m);
  });

  test('makes no table of no domains', () => {
    assert.equal(overview(document()), 'Latchkey 1: no managed domains; 1 workers, generation 1\n');
  });

  test('tells what happened in the last run only', () => {
    const entry = (when: number, type: string) => ({ when, type, detail: `${type} ${when - NOW}` });
    const log = [
      entry(NOW + 3, 'installed'),
      entry(NOW + 2, 'starting'),
      entry(NOW + 1, 'renewal-error'),
      entry(NOW, 'starting'),
    ];
    const shown = details(domain({ log }), NOW);
    assert.match(shown, /installed 3\n.*starting 2\n$/);
    assert.doesNotMatch(shown, /renewal-error|starting 0/);
    assert.match(shown, /--json/);
  });
});
