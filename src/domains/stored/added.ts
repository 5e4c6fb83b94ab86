/**
 * Managed domains that were added while the server runs, beside those of the configuration. Each is a small file in
 * the store (`limits/added/NAME.json`, which mod_md doesn't look at), there before anything is done for it; what is
 * configured takes precedence over it.
 */
import PQueue from 'p-queue';
import * as v from 'valibot';
import { LatchkeyError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { certificateName } from '../../pki/names.ts';
import type { Store } from '../../store/store.ts';
import { undamaged } from './held.ts';
import type { ManagedDomainSettings } from '../settings.ts';

/** Who of several servers on a store changes them, and that they have changed. */
export const ADDED_LEASE = '%added';

const FOLDER = 'added';
const SUFFIX = '.json';
/** Names of one certificate. */
const MOST_NAMES = 100;
/** So that the name of its file is one everywhere. */
const LONGEST_NAME = 200;
/** Files read at once. */
const PARALLEL = 32;

const schema = v.object({ domains: v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(MOST_NAMES)) });

export type AddedErrorCode =
  /** It is no name that a certificate can be had for. */
  | 'added-bad-name'
  /** Another domain has it. */
  | 'added-taken'
  /** It was not added. */
  | 'added-unknown'
  /** Another server on the store makes changes, for longer than was waited. */
  | 'added-busy';

export class AddedError extends LatchkeyError<AddedErrorCode> {}

/** What added domains are like, and which are configured. */
export interface Surroundings<Domain extends ManagedDomainSettings> {
  /** What each becomes, but for `name` and `domains`. */
  readonly template: Domain;
  readonly domains: readonly ManagedDomainSettings[];
}

/**
 * Names of all added domains, whether or not the configuration has them by now. Who may write the files has fewer
 * rights than who asks: what is no name of a domain is left out.
 */
export async function addedNames(store: Store): Promise<string[]> {
  return (await fileNames(store)).filter(isDomainName);
}

/** For who may not believe everything: whether there is a file for what may be no name at all. */
export async function isAdded(store: Store, name: string): Promise<boolean> {
  if (!isDomainName(name)) return false;
  return (await store.modified('limits', FOLDER, name + SUFFIX)) !== undefined;
}

async function fileNames(store: Store): Promise<string[]> {
  const aspects = await store.aspects('limits', FOLDER);
  return aspects.filter((aspect) => aspect.endsWith(SUFFIX)).map((aspect) => aspect.slice(0, -SUFFIX.length));
}

function isDomainName(name: string): boolean {
  try {
    return checkedName(name) === name;
  } catch {
    return false;
  }
}

export class AddedDomains<Domain extends ManagedDomainSettings> {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #names = new Map<string, readonly string[]>();
  /** Names of all domains, to whom each belongs; made when it is needed. */
  #owners: Map<string, string> | undefined;
  #around: Surroundings<Domain>;
  #configured: ReadonlySet<string>;

  /** Reads what was added before. What is damaged is said in the log and left out. Rejects as the store does. */
  static async open<Domain extends ManagedDomainSettings>(
    store: Store,
    around: Surroundings<Domain>,
    logger: Logger,
  ): Promise<AddedDomains<Domain>> {
    const added = new AddedDomains(store, around, logger);
    await added.#readAll(await fileNames(store));
    return added;
  }

  private constructor(store: Store, around: Surroundings<Domain>, logger: Logger) {
    this.#store = store;
    this.#around = around;
    this.#configured = namesIn(around);
    this.#logger = logger;
  }

  /**
   * Reads them again, as other servers on the store add and remove some, too. Gives names of domains that are new or
   * different, and those that are different or gone with the names they had. Rejects as the store does.
   */
  async reread(): Promise<{
    readonly changed: readonly string[];
    readonly before: ReadonlyMap<string, readonly string[]>;
  }> {
    const old = new Map(this.#names);
    const there = new Set(await fileNames(this.#store));
    for (const name of old.keys()) if (!there.has(name)) this.#forget(name);
    await this.#readAll(there);
    const isOther = (name: string) => old.get(name)?.join() !== this.#names.get(name)?.join();
    const before = new Map([...old].filter(([name]) => isOther(name)));
    return { changed: [...this.#names.keys()].filter(isOther), before };
  }

  /** A domain that is configured now is not among the added ones until it is configured no more. */
  reconfigure(around: Surroundings<Domain>): void {
    this.#around = around;
    this.#configured = namesIn(around);
    this.#owners = undefined;
  }

  /** Those that the configuration has no names of. */
  get domains(): Domain[] {
    return [...this.#names.keys()].flatMap((name) => this.domain(name) ?? []);
  }

  /** One of those. */
  domain(name: string): Domain | undefined {
    const names = this.#names.get(name);
    if (!names || [name, ...names].some((one) => this.#configured.has(one))) return undefined;
    return this.#domain(name, names);
  }

  /** Empty for what was not added. */
  namesOf(name: string): readonly string[] {
    return this.#names.get(name) ?? [];
  }

  get count(): number {
    return this.#names.size;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /**
   * Adds one domain with these names, the first being its own; one that is there with the same names is no error.
   * Durable when fulfilled. @throws AddedError; StoreError
   */
  async add(names: readonly string[]): Promise<Domain> {
    const domains = [...new Set(names.map(checkedName))];
    const [name] = domains;
    if (name === undefined || domains.length > MOST_NAMES) {
      throw new AddedError('added-bad-name', `a domain has from 1 to ${MOST_NAMES} names`);
    }
    for (const one of domains) {
      const owner = this.#ownerOf(one);
      if (owner !== undefined && !(owner === name && this.#names.has(name))) {
        throw new AddedError('added-taken', `${one} is a name of the managed domain ${owner}`);
      }
    }
    await this.#store.save('limits', FOLDER, name + SUFFIX, `${JSON.stringify({ domains })}\n`);
    this.#forget(name);
    this.#enter(name, domains);
    return this.#domain(name, domains);
  }

  /** Durable when fulfilled. Gives the names it had. @throws AddedError; StoreError */
  async remove(name: string): Promise<readonly string[]> {
    const names = this.#names.get(name);
    if (!names) throw new AddedError('added-unknown', `${name} is no domain that was added`);
    await this.#store.remove('limits', FOLDER, name + SUFFIX);
    this.#forget(name);
    return names;
  }

  async #readAll(names: Iterable<string>): Promise<void> {
    const queue = new PQueue({ concurrency: PARALLEL });
    await queue.addAll([...names].map((name) => () => this.#read(name)));
  }

  async #read(name: string): Promise<void> {
    const text = await undamaged(this.#store.load('limits', FOLDER, name + SUFFIX));
    try {
      const { domains } = v.parse(v.pipe(v.string(), v.parseJson(), schema), text?.toString());
      const [first] = domains.map(checkedName);
      if (first !== name) throw new Error('it is for another name');
      this.#forget(name);
      this.#enter(name, domains);
    } catch {
      this.#logger.error(
        `limits/${FOLDER}/${name}${SUFFIX} is damaged: add ${name} again, or remove the file`,
      );
    }
  }

  #enter(name: string, domains: readonly string[]): void {
    this.#names.set(name, domains);
    for (const one of domains) this.#owners?.set(one, name);
  }

  #forget(name: string): void {
    for (const one of this.#names.get(name) ?? []) this.#owners?.delete(one);
    this.#names.delete(name);
  }

  #domain(name: string, domains: readonly string[]): Domain {
    return { ...this.#around.template, name, domains };
  }

  /** Of the name itself, or of a wildcard over it or a name under it. */
  #ownerOf(name: string): string | undefined {
    this.#owners ??= this.#allOwners();
    const over = name.startsWith('*.') ? undefined : this.#owners.get(`*${name.slice(name.indexOf('.'))}`);
    return this.#owners.get(name) ?? over ?? this.#ownerUnder(name);
  }

  #ownerUnder(name: string): string | undefined {
    if (!name.startsWith('*.')) return undefined;
    for (const [one, owner] of this.#owners ?? []) {
      if (one.slice(one.indexOf('.')) === name.slice(1) && owner !== name) return owner;
    }
    return undefined;
  }

  #allOwners(): Map<string, string> {
    const all = [...this.#names].map(([name, domains]) => ({ name, domains }));
    return new Map(
      [...all, ...this.#around.domains].flatMap(({ name, domains }) =>
        domains.map((one) => [one, name] as const),
      ),
    );
  }
}

function namesIn({ domains }: Surroundings<ManagedDomainSettings>): ReadonlySet<string> {
  return new Set(domains.flatMap(({ name, domains: names }) => [name, ...names]));
}

function checkedName(name: string): string {
  if (name.length > LONGEST_NAME) {
    throw new AddedError('added-bad-name', `a name of more than ${LONGEST_NAME} characters can't be added`);
  }
  try {
    return certificateName(name);
  } catch (cause) {
    throw new AddedError('added-bad-name', `${JSON.stringify(name)} is no name that can be added`, { cause });
  }
}
