/** DynSSLSnapshot: what is cached by name, kept in a file now and then and when the engine ends. */
import { rm } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { DynamicCertificates } from '../../certificates/sources/dynamic.ts';
import { Snapshot, writeSnapshot } from '../../certificates/sources/snapshot.ts';

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
  #earlier: Snapshot | undefined;
  #running: Promise<void> | undefined;
  #written = 0;

  /** From then on what an earlier server has kept is found. What is wrong with it is logged. */
  static async open(parts: SnapshotsParts): Promise<Snapshots> {
    const snapshots = new Snapshots(parts);
    await snapshots.#recall();
    return snapshots;
  }

  private constructor(parts: SnapshotsParts) {
    this.#parts = parts;
  }

  /** Takes in all that was kept, then keeps the file fresh, in the background. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** After a flush: what was flushed must not come back at the next start. */
  async forget(): Promise<void> {
    await rm(this.#parts.file, { force: true }).catch((error: unknown) => this.#complain(error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#running) {
      this.#stop.abort();
      await this.#running;
      await this.#save();
    }
    await this.#earlier?.[Symbol.asyncDispose]();
  }

  async #recall(): Promise<void> {
    const { file, secret, dynamic } = this.#parts;
    try {
      this.#earlier = await Snapshot.open(file, secret);
      if (this.#earlier) dynamic.recall(this.#earlier);
    } catch (error) {
      this.#lost(error);
    }
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
    const { dynamic, logger } = this.#parts;
    this.#written = dynamic.changes;
    try {
      const count = await dynamic.restore(turn, this.#stop.signal);
      this.#written += count;
      if (count > 0) logger.info(`${count} certificates were cached before, and are again`);
    } catch (error) {
      this.#lost(error);
    }
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

  #lost(error: unknown): void {
    const { file, logger } = this.#parts;
    logger.warn(`${file}: ${explain(error)}; what is missing is fetched from the certificate store`);
  }

  #complain(error: unknown): void {
    const { file, logger } = this.#parts;
    logger.error(
      `DynSSLSnapshot ${file} can't be written: ${explain(error)}; its folder has to belong to User`,
    );
  }
}
