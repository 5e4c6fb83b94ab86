/** DynSSLSnapshot: what is cached by name, kept in a file now and then and when the engine ends. */
import { rm } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DynamicCertificates } from '../../certificates/sources/dynamic.ts';
import { readSnapshot, writeSnapshot } from '../../certificates/sources/snapshot.ts';

export interface SnapshotsParts {
  readonly file: string;
  /** Of the store: who can read its keys can read these. */
  readonly secret: Uint8Array;
  readonly dynamic: DynamicCertificates;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How often (ms) what has changed is written. */
const INTERVAL = 300_000;

export class Snapshots implements AsyncDisposable {
  readonly #parts: SnapshotsParts;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #written = 0;

  constructor(parts: SnapshotsParts) {
    this.#parts = parts;
  }

  /** Reads the file, then keeps it fresh, in the background. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** After a flush: what was flushed must not come back at the next start. */
  async forget(): Promise<void> {
    await rm(this.#parts.file, { force: true }).catch((error: unknown) => this.#complain(error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#running) return;
    this.#stop.abort();
    await this.#running;
    await this.#save();
  }

  async #run(): Promise<void> {
    await this.#restore();
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#parts.clock.sleep(INTERVAL, { signal }).catch(() => {});
      if (!signal.aborted) await this.#save();
    }
  }

  async #restore(): Promise<void> {
    const { file, secret, dynamic, logger } = this.#parts;
    try {
      const count = await dynamic.restore(readSnapshot(file, secret), turn);
      if (count > 0) logger.info(`${count} certificates were cached before, and are again`);
    } catch (error) {
      logger.warn(`${file}: ${explain(error)}; what is missing is fetched from the certificate store`);
    }
    this.#written = dynamic.changes;
  }

  async #save(): Promise<void> {
    const { file, secret, dynamic } = this.#parts;
    const { changes, flushes } = dynamic;
    if (changes === this.#written) return;
    try {
      await writeSnapshot(file, secret, dynamic.snapshot());
      this.#written = changes;
      if (dynamic.flushes !== flushes) await this.forget();
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error: unknown): void {
    const { file, logger } = this.#parts;
    logger.error(
      `DynSSLSnapshot ${file} can't be written: ${explain(error)}; its folder has to belong to User`,
    );
  }
}
