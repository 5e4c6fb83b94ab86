/** What the store keeps of responses, and that it could not: stapling goes on without. */
import { explain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { readOcspResponse } from '../pki/ocsp-response.ts';
import type { Span } from '../store/formats.ts';
import type { Store } from '../store/store.ts';
import {
  type KeptResponse,
  loadResponse,
  removeOldResponses,
  responseFile,
  saveResponse,
} from './response-file.ts';
import type { Subject } from './subject.ts';

export class ResponseKeeper {
  readonly #store: Store;
  readonly #logger: Logger;

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** What there is, if it may still be believed at the time `now` (ms since the epoch). */
  async load({ folder, id, inquiry }: Subject, now: () => number): Promise<KeptResponse | undefined> {
    if (!inquiry) return undefined;
    try {
      const kept = await loadResponse(this.#store, folder, responseFile(id));
      if (!kept || kept.until <= now()) return undefined;
      const answer = readOcspResponse(kept.der, inquiry.question, now());
      const { status, thisUpdate: from, nextUpdate = Infinity, signerNotAfter } = answer;
      // Without nextUpdate the file alone says how long it counts.
      const until = Math.min(kept.until, nextUpdate, signerNotAfter);
      return status === 'unknown' ? undefined : { ...kept, status, from, until };
    } catch (error) {
      this.#logger.warn(`md[${folder}]: a kept OCSP response is not used: ${explain(error)}`);
      return undefined;
    }
  }

  async save({ folder, id }: Subject, response: KeptResponse): Promise<void> {
    try {
      await saveResponse(this.#store, folder, id, response);
    } catch (error) {
      this.#logger.error(`md[${folder}]: an OCSP response could not be saved: ${explain(error)}`);
    }
  }

  /** Removes what was written longer ago than `keep` (MDStaplingKeepResponse) and is over. */
  async removeOld(keep: Span, now: number): Promise<void> {
    // A share of a life has no meaning here; mod_md takes it and keeps everything.
    if (!('ms' in keep)) return;
    try {
      const removed = await removeOldResponses(this.#store, keep.ms, now);
      if (removed > 0) this.#logger.info(`${removed} old OCSP responses were removed`);
    } catch (error) {
      this.#logger.warn(`old OCSP responses could not be removed: ${explain(error)}`);
    }
  }
}
