/**
 * Metrics for Prometheus: counts over all domains always, a series for a single domain only where it needs
 * somebody, and for so many at most: ten thousand healthy domains make no ten thousand series.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import { subscribe } from '../base/events.ts';
import type { DomainInService, StaplingCounts, WorkerStatus } from './document.ts';
import { countDomains } from './select.ts';
import { validUntil } from './words.ts';

/** Domains that get series of their own, those that expire first. */
const MOST_DOMAINS = 100;
/** Distinct values of a label that a CA has a say in. */
const MOST_PROBLEMS = 50;

const DAY = 86_400_000;
/** Upper bounds of the expiry buckets, days. */
const EXPIRY_DAYS = [0, 1, 3, 7, 14, 30, 60, 90];

export class Metrics implements Disposable {
  readonly #registry = new Registry();
  readonly #domains: Gauge;
  readonly #expiring: Gauge;
  readonly #failing: Gauge;
  readonly #expiry: Gauge;
  readonly #staples: Gauge;
  readonly #stapleAge: Gauge;
  readonly #connections: Gauge;
  readonly #handshakes: Gauge;
  readonly #refused: Counter;
  readonly #subscriptions = new DisposableStack();

  constructor(version: string) {
    const registers = [this.#registry];
    const gauge = (name: string, help: string, labelNames: string[] = []) =>
      new Gauge({ name, help, labelNames, registers });
    gauge('latchkey_info', 'The version that runs; always 1.', ['version']).set({ version }, 1);
    this.#domains = gauge('latchkey_domains', 'Managed domains by state; one may be in several.', ['state']);
    this.#expiring = gauge(
      'latchkey_domains_expiring_days',
      'Managed domains whose first certificate expires within so many days; +Inf: all that have one.',
      ['le'],
    );
    this.#failing = gauge(
      'latchkey_domain_renewal_failures',
      `Failures in a row of domains whose renewal fails (${MOST_DOMAINS} at most, the first to expire).`,
      ['domain'],
    );
    this.#expiry = gauge(
      'latchkey_domain_expiry_timestamp_seconds',
      'When the first certificate expires, of the domains whose renewal fails.',
      ['domain'],
    );
    this.#staples = gauge(
      'latchkey_staples',
      'Certificates to be stapled, by state; one may be in several.',
      ['state'],
    );
    this.#stapleAge = gauge(
      'latchkey_staple_age_seconds',
      'Age of the oldest OCSP response that is stapled.',
    );
    this.#connections = gauge('latchkey_connections', 'Connections that are open.', ['worker']);
    this.#handshakes = gauge('latchkey_handshakes', 'TLS handshakes that are under way.', ['worker']);
    this.#refused = new Counter({
      name: 'latchkey_connections_refused_total',
      help: 'Connections refused before anything was done for them; overload: too many handshakes waited, else the limit of a client.',
      labelNames: ['worker', 'reason'],
      registers,
    });
    this.#count();
  }

  /** In Prometheus' text format. `now` in ms since the epoch. */
  text(domains: readonly DomainInService[], stapling: StaplingCounts, now: number): Promise<string> {
    for (const state of ['total', 'ok', 'due', 'errored'] as const) {
      this.#staples.set({ state }, stapling[state]);
    }
    this.#stapleAge.set(stapling.oldest / 1000);
    for (const [state, count] of Object.entries(countDomains(domains))) this.#domains.set({ state }, count);
    const left = domains.flatMap((domain) => validUntil(domain) ?? []).map((until) => (until - now) / DAY);
    for (const days of EXPIRY_DAYS) {
      this.#expiring.set({ le: String(days) }, left.filter((time) => time <= days).length);
    }
    this.#expiring.set({ le: '+Inf' }, left.length);
    this.#tellOfFailing(domains);
    return this.#registry.metrics();
  }

  /** What the workers have to do, and whom they have turned away. */
  noteWorkers(workers: readonly WorkerStatus[]): void {
    for (const metric of [this.#connections, this.#handshakes, this.#refused]) metric.reset();
    for (const { id, load } of workers) {
      if (!load) continue;
      this.#connections.set({ worker: id }, load.connections);
      this.#handshakes.set({ worker: id }, load.handshakes);
      for (const [reason, count] of Object.entries(load.refused)) {
        this.#refused.inc({ worker: id, reason }, count);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#subscriptions.dispose();
  }

  #tellOfFailing(domains: readonly DomainInService[]): void {
    this.#failing.reset();
    this.#expiry.reset();
    const failing = domains
      .filter(({ problem }) => problem !== undefined)
      .map((domain) => ({ domain, until: validUntil(domain) }))
      .sort((a, b) => (a.until ?? 0) - (b.until ?? 0));
    for (const { domain, until } of failing.slice(0, MOST_DOMAINS)) {
      this.#failing.set({ domain: domain.name }, domain.errors);
      if (until !== undefined) this.#expiry.set({ domain: domain.name }, until / 1000);
    }
  }

  /** What happens is counted since the engine began. */
  #count(): void {
    const registers = [this.#registry];
    const counter = (name: string, help: string, labelNames: string[] = []) =>
      new Counter({ name, help, labelNames, registers });
    const obtained = counter('latchkey_renewals_obtained_total', 'Renewals that a CA gave certificates for.');
    const failed = counter('latchkey_renewals_failed_total', 'Runs that failed, by type of problem.', [
      'problem',
    ]);
    const installed = counter('latchkey_certificates_installed_total', 'Sets of certificates put to use.');
    const renewed = counter('latchkey_ocsp_renewed_total', 'OCSP responses obtained.');
    const errored = counter('latchkey_ocsp_errored_total', 'Requests for OCSP responses that failed.');
    this.#subscriptions.use(subscribe('latchkey:ocsp:renewed', () => renewed.inc()));
    this.#subscriptions.use(subscribe('latchkey:ocsp:errored', () => errored.inc()));
    const problems = new Set<string>();
    this.#subscriptions.use(subscribe('latchkey:renewal:obtained', () => obtained.inc()));
    this.#subscriptions.use(subscribe('latchkey:certificate:installed', () => installed.inc()));
    this.#subscriptions.use(
      subscribe('latchkey:renewal:failed', ({ problem: { type } }) => {
        const label = type.replace(/:$/, '').split(':').at(-1) ?? '';
        if (problems.size < MOST_PROBLEMS) problems.add(label);
        failed.inc({ problem: problems.has(label) ? label : 'other' });
      }),
    );
  }
}
