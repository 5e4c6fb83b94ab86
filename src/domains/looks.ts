/** Looking at a domain: what the store has of it, and what is to be done next. */
import { isDeepStrictEqual } from 'node:util';
import { explain } from '../base/errors.ts';
import { readMd } from '../store/documents.ts';
import type { Advisor } from './advice/advisor.ts';
import type { EngineOptions } from './engine-options.ts';
import type { Entry } from './entry.ts';
import { Job } from './renewal/job.ts';
import { isAutomatic, type Plan, plan } from './renewal/plan.ts';
import type { RenewalContext } from './renewal/renewal.ts';
import type { Sharing } from './renewal/sharing.ts';
import type { ManagedDomainSettings } from './settings.ts';
import type { AdviceOn } from './state.ts';
import { mdDocument } from './stored/document.ts';
import { isDamage, readHeld, stagedFiles } from './stored/held.ts';
import { judge, type ReadPem } from './stored/static-files.ts';

export interface LooksParts {
  /** Now in force. */
  readonly context: () => RenewalContext;
  /** It has not been removed. */
  readonly isThere: (entry: Entry) => boolean;
  readonly advisor: Advisor;
  readonly sharing: Sharing | undefined;
  readonly readPem: ReadPem;
  readonly onLook: NonNullable<EngineOptions['onLook']>;
}

export class Looks {
  readonly #parts: LooksParts;

  constructor(parts: LooksParts) {
    this.#parts = parts;
  }

  /** Reads what the store has for a domain, and decides. */
  async look(entry: Entry): Promise<Plan> {
    const { domain } = entry;
    const { store, clock, activateOn } = this.#parts.context();
    const job = await this.jobOf(entry);
    const held = await readHeld(store, 'domains', domain.name, domain.keys);
    const staging = stagedFiles(await store.aspects('staging', domain.name), domain.keys);
    // Activated by a restart, or deleted: nothing waits to be put to use any more.
    if (!staging.staged) job.finished = false;
    const now = clock.now();
    const inUse = [...held.values()].flatMap((pair) => ('damage' in pair ? [] : [pair]));
    const serials = inUse.map(({ info }) => info.serial);
    await this.#parts.sharing?.found(domain.name, serials);
    const replaceable = isAutomatic(domain) ? inUse : [];
    // Removed while the store was read: nobody would have it watched no more.
    if (this.#parts.isThere(entry)) {
      const infos = replaceable.map(({ info }) => info);
      this.#parts.advisor.watch(domain.name, infos);
    }
    const adviceOn: AdviceOn = (info) => this.#parts.advisor.adviceOn(domain.name, info);
    const state = (entry.state = await judge(domain, held, { now, adviceOn, read: this.#parts.readPem }));
    if (this.#parts.isThere(entry)) {
      const chains = replaceable.map(({ chain }) => chain);
      this.#parts.onLook(domain.name, chains);
    }
    return plan({ domain, state, job, ...staging, forced: entry.forced, activateOn, now });
  }

  /** One for each domain, whoever asks first. */
  async jobOf(entry: Entry): Promise<Job> {
    if (entry.job) return entry.job;
    const loaded = await this.#loadJob(entry.domain);
    return (entry.job ??= loaded);
  }

  /** The job of an earlier start. Errors count no more when the configuration isn't the one they came from. */
  async #loadJob(domain: ManagedDomainSettings): Promise<Job> {
    const { store } = this.#parts.context();
    try {
      const job = await Job.load(store, domain.name);
      const staged = await readMd(store, 'staging', domain.name);
      const wanted = mdDocument(domain, { state: 'incomplete', description: '' }, staged);
      if (staged && !isDeepStrictEqual(relevant(wanted), relevant(staged))) job.reset();
      return job;
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#parts
        .context()
        .logger.warn(`md(${domain.name}): the staging area is damaged and is purged: ${explain(error)}`);
      await store.purge('staging', domain.name);
      return new Job(domain.name);
    }
  }
}

/** What of md.json has a say in whether an order succeeds. */
function relevant(document: ReturnType<typeof mdDocument>): unknown {
  const { domains, contacts, ca, privkey, eab, 'cmd-dns-01': dns01 } = document;
  const { urls, agreement, challenges } = ca;
  const { profile, 'profile-mandatory': mandatory, 'must-staple': staple, 'proxy-url': proxy } = document;
  const what = { domains, contacts, urls, agreement, challenges, privkey, eab, dns01 };
  return JSON.parse(JSON.stringify({ ...what, profile, mandatory, staple, proxy }));
}
