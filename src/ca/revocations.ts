/**
 * What was revoked, one file each (`SERIAL.json`), written once and never changed. Everything is read from the
 * disk when it is asked for: `latchkey ca revoke` adds a file beside a running CA, which counts from then on.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { createDurable } from '../base/durable.ts';
import { systemCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { loadDocument } from './collection.ts';

/** RFC 5280, 5.3.1: 7 is not used, 8 to 10 are not for servers' certificates. */
export const revocationReasons = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
} as const;
export type RevocationReason = (typeof revocationReasons)[keyof typeof revocationReasons];

const reasonCodes = new Set<number>(Object.values(revocationReasons));

export function isRevocationReason(code: number): code is RevocationReason {
  return reasonCodes.has(code);
}

const schema = v.object({
  /** Upper-case hex. */
  serial: v.pipe(v.string(), v.regex(/^[0-9A-F]{1,40}$/)),
  /** ms since the epoch. */
  at: v.number(),
  reason: v.pipe(
    v.number(),
    v.custom<RevocationReason>((code) => isRevocationReason(Number(code))),
  ),
  /** When the certificate ends by itself, ms. */
  notAfter: v.number(),
});
export type Revocation = Readonly<v.InferOutput<typeof schema>>;

const FILE = /^[0-9A-F]{1,40}\.json$/;

/**
 * How long what is said of a revocation (an OCSP response, the list) may be believed, ms. It outlives a weekend's
 * outage of this CA by half: what is given out is never older than the other half.
 */
export const STATEMENT_LIFETIME = 3 * 86_400_000;

export class Revocations {
  readonly #dir: string;
  readonly #logger: Logger;

  private constructor(dir: string, logger: Logger) {
    this.#dir = dir;
    this.#logger = logger;
  }

  static async open(dir: string, logger: Logger): Promise<Revocations> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return new Revocations(dir, logger);
  }

  /** False where it was revoked before: that stays as it is. */
  async add(revocation: Revocation): Promise<boolean> {
    return createDurable(this.#file(revocation.serial), JSON.stringify(revocation), { mode: 0o600 });
  }

  /** `serial` is upper-case hex, of any length. */
  async get(serial: string): Promise<Revocation | undefined> {
    if (!FILE.test(`${serial}.json`) || !(await exists(this.#file(serial)))) return undefined;
    return loadDocument(this.#file(serial), schema, this.#logger);
  }

  /** Their serials, in order. */
  async serials(): Promise<string[]> {
    const names = await readdir(this.#dir);
    return names
      .filter((name) => FILE.test(name))
      .map((name) => name.slice(0, -'.json'.length))
      .sort();
  }

  /** Removes what need not be said any more: certificates ended for longer than any statement is believed. */
  async sweep(now: number): Promise<void> {
    for (const name of await readdir(this.#dir)) {
      const known = FILE.test(name) ? await this.get(name.slice(0, -'.json'.length)) : undefined;
      if (known && known.notAfter + STATEMENT_LIFETIME <= now)
        await rm(join(this.#dir, name), { force: true });
    }
  }

  #file(serial: string): string {
    return join(this.#dir, `${serial}.json`);
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}
