/**
 * What was issued, one file each (`SERIAL.json`): for downloads and revocation. Kept on the disk alone, for there
 * may be many; sweep() removes what has ended.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { isPart, writeDurable } from '../base/durable.ts';
import type { Logger } from '../base/log.ts';
import { loadDocument } from './collection.ts';

const schema = v.object({
  /** Upper-case hex. */
  serial: v.pipe(v.string(), v.regex(/^[0-9A-F]{1,40}$/)),
  account: v.string(),
  notAfter: v.number(),
  /** Until when it can be downloaded: at least an hour, however short its life. */
  keepUntil: v.number(),
  chainPem: v.string(),
  /** Serial of the certificate that an order put in its place (RFC 9773 section 5). */
  replacedBy: v.optional(v.string()),
});
export type IssuedCertificate = Readonly<v.InferOutput<typeof schema>>;

const SERIAL = /^[0-9A-F]{1,40}$/;

export class Certificates {
  readonly #dir: string;
  readonly #logger: Logger;

  private constructor(dir: string, logger: Logger) {
    this.#dir = dir;
    this.#logger = logger;
  }

  static async open(dir: string, logger: Logger): Promise<Certificates> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    for (const name of (await readdir(dir)).filter(isPart)) await rm(join(dir, name), { force: true });
    return new Certificates(dir, logger);
  }

  /** For another process than the one that serves the folder: nothing is made or tidied up. */
  static attach(dir: string, logger: Logger): Certificates {
    return new Certificates(dir, logger);
  }

  async put(certificate: IssuedCertificate): Promise<void> {
    await writeDurable(this.#file(certificate.serial), JSON.stringify(certificate), { mode: 0o600 });
  }

  /** `serial` may be anything a client sends. */
  async get(serial: string): Promise<IssuedCertificate | undefined> {
    if (!SERIAL.test(serial) || !(await isFile(this.#file(serial)))) return undefined;
    return loadDocument(this.#file(serial), schema, this.#logger);
  }

  /** Removes what nobody needs any more at `now` (ms). */
  async sweep(now: number, signal: AbortSignal): Promise<void> {
    for await (const { serial, keepUntil } of this.all()) {
      if (signal.aborted) return;
      if (keepUntil <= now) await rm(this.#file(serial), { force: true });
    }
  }

  /** One after the other, in no order. */
  async *all(): AsyncIterable<IssuedCertificate> {
    for (const name of await readdir(this.#dir)) {
      const [serial = '', extension] = name.split('.', 2);
      const known = extension === 'json' ? await this.get(serial) : undefined;
      if (known) yield known;
    }
  }

  #file(serial: string): string {
    return join(this.#dir, `${serial}.json`);
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
