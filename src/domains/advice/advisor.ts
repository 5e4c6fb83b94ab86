/**
 * Asks CAs what they advise about the certificates in use (ARI, RFC 9773), at the pace that they wish, and hears
 * from others that one was revoked. All advice is kept by certificate, and gone with it: what was said of a
 * certificate never counts for its successor.
 */
import { AcmeError } from '../../acme/errors.ts';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { Schedule } from '../../base/schedule.ts';
import type { CertificateInfo } from '../../pki/certificate.ts';
import { type Advice, type AriAdvice, drawMoment, leastAge } from './advice.ts';
import type { RenewalInfo } from '../issuer.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Between two questions, ms: where the CA doesn't say, and the bounds of what it may say (RFC 9773 section 4.3). */
const USUAL = 6 * HOUR;
const SHORTEST = MINUTE;
const LONGEST = 24 * HOUR;

/** First questions are spread over this time for each domain, ms, but over no more than MAX_SPREAD: there is no hurry
 * about what was issued just now, and of a thousand domains most are to be ordered first. */
const SPREAD = 500;
const MAX_SPREAD = 10 * MINUTE;

/** Questions to one CA at a time. */
const PARALLEL = 4;

export interface AdvisorOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Asks the CA of a domain about a certificate; undefined where it has no such service. */
  readonly ask: (
    name: string,
    info: CertificateInfo,
    signal: AbortSignal,
  ) => Promise<RenewalInfo | undefined>;
  /** Which CA that is. */
  readonly lane: (name: string) => string;
  /** There is other advice than before. */
  readonly changed: (name: string) => void;
}

interface Entry {
  readonly info: CertificateInfo;
  readonly notBefore: number | undefined;
  ari: AriAdvice | undefined;
  revoked: string | undefined;
  /** Failed questions in a row. */
  failures: number;
  /** ms since the epoch. */
  nextQuestion: number;
}

export class Advisor {
  readonly #options: AdvisorOptions;
  readonly #schedule: Schedule;
  /** By domain, then by the certificate's SHA-256. */
  readonly #entries = new Map<string, Map<string, Entry>>();

  constructor(options: AdvisorOptions) {
    this.#options = options;
    this.#schedule = new Schedule({
      clock: options.clock,
      parallel: PARALLEL,
      work: (name, signal) => this.#work(name, signal),
      lane: (name) => ({ key: options.lane(name), priority: 0 }),
    });
  }

  /** Asks until aborted. */
  run(signal: AbortSignal): Promise<void> {
    return this.#schedule.run(signal);
  }

  /** The certificates that a domain has now. Those it had before are forgotten. */
  watch(name: string, certificates: readonly CertificateInfo[]): void {
    const before = this.#entries.get(name) ?? new Map<string, Entry>();
    const after = new Map(
      certificates.map((info) => [info.sha256, before.get(info.sha256) ?? this.#entry(info, before)]),
    );
    if (after.size === 0) return this.forget(name);
    this.#entries.set(name, after);
    if ([...after.keys()].every((known) => before.has(known))) return;
    const spread = Math.min(this.#entries.size * SPREAD, MAX_SPREAD);
    this.#schedule.set(name, this.#options.clock.now() + spread * this.#options.random());
  }

  forget(name: string): void {
    this.#entries.delete(name);
    this.#schedule.remove(name);
  }

  adviceOn(name: string, { sha256 }: Pick<CertificateInfo, 'sha256'>): Advice | undefined {
    return this.#entries.get(name)?.get(sha256);
  }

  /**
   * A certificate is known to be revoked: it is replaced at once.
   * @param source who says so, for people: `its OCSP responder said at …`
   */
  revoke(name: string, sha256: string, source: string): void {
    const entry = this.#entries.get(name)?.get(sha256);
    if (!entry || entry.revoked !== undefined) return;
    entry.revoked = source;
    this.#options.changed(name);
  }

  #entry(info: CertificateInfo, before: ReadonlyMap<string, Entry>): Entry {
    const now = this.#options.clock.now();
    const heeded = [...before.values()].some(
      ({ ari, revoked }) => revoked !== undefined || (ari !== undefined && ari.renewAt <= now),
    );
    return {
      info,
      notBefore: heeded ? leastAge(info, now) : undefined,
      ari: undefined,
      revoked: undefined,
      failures: 0,
      nextQuestion: now,
    };
  }

  async #work(name: string, signal: AbortSignal): Promise<number | undefined> {
    const entries = [...(this.#entries.get(name)?.values() ?? [])];
    let changed = false;
    for (const entry of entries) {
      if (entry.nextQuestion > this.#options.clock.now()) continue;
      changed = (await this.#question(name, entry, signal)) || changed;
      if (signal.aborted) return undefined;
    }
    if (changed) this.#options.changed(name);
    return entries.length > 0 ? Math.min(...entries.map(({ nextQuestion }) => nextQuestion)) : undefined;
  }

  /** Fulfilled with whether there is another answer than before. */
  async #question(name: string, entry: Entry, signal: AbortSignal): Promise<boolean> {
    const { clock, ask, random, logger } = this.#options;
    const before = entry.ari;
    try {
      const info = await ask(name, entry.info, signal);
      entry.failures = 0;
      // A CA that does not offer it may do so some day.
      const pause = info ? (info.retryAfter ?? USUAL) : LONGEST;
      entry.ari = info && drawMoment(info, before, random);
      entry.nextQuestion = clock.now() + Math.min(Math.max(pause, SHORTEST), LONGEST);
      return entry.ari?.renewAt !== before?.renewAt;
    } catch (error) {
      if (signal.aborted) return false;
      entry.failures += 1;
      entry.nextQuestion = clock.now() + pauseAfter(error, entry.failures);
      logger.info(`md(${name}): the CA does not say when to renew: ${explain(error)}`);
      return false;
    }
  }
}

/** What passes is asked for again soon and then less often; what the CA refuses is asked as rarely as usual. */
function pauseAfter(error: unknown, failures: number): number {
  const known = error instanceof AcmeError ? error : undefined;
  const retryAfter = known?.retryAfter ?? 0;
  if (known?.code === 'acme-problem' || known?.code === 'acme-invalid-response') {
    return Math.min(Math.max(retryAfter, USUAL), LONGEST);
  }
  return Math.min(Math.max(SHORTEST * 2 ** (failures - 1), retryAfter), USUAL);
}
