/**
 * The Store contract: what Latchkey keeps between starts. Values are small files' worth of bytes, addressed by
 * group, name and aspect (`domains`, `example.org`, `pubcert.pem`), as in mod_md's store.
 *
 * What every Store promises (conformance.testing.ts tries each on every implementation):
 * - `save` is atomic and durable: a reader sees the old value or the new one, never a mixture, and once the
 *   promise is fulfilled the new one survives a power cut. A crash at any instant harms nothing. What is saved
 *   or removed with `durable: false` is so in a fraction of the time, and a power cut may leave it as it was, or
 *   what was saved empty.
 * - `load` of what isn't there gives undefined; of what can't be read it rejects with StoreError `unreadable`.
 * - `activate` replaces a domain's set as a whole; see there.
 * - Names and aspects are checked: nothing outside the store can be reached through one (StoreError
 *   `bad-name`). Wildcard names (`*.example.org`) are names like others.
 * - Values are bounded (1 MiB): a larger file is `unreadable`, saving a larger value is `too-large`.
 * - Writing to a full disk rejects with StoreError `full`; the old value stays.
 *
 * A Store gives bytes. What they mean is documents.ts's business (JSON documents) and keys.ts's (private keys).
 */
import { LatchkeyError } from '../base/errors.ts';
import type { StoreKey } from './storekey.ts';

export const groups = [
  'accounts',
  'challenges',
  'domains',
  'staging',
  'archive',
  'ocsp',
  'limits',
  'crl',
  'tmp',
] as const;
export type Group = (typeof groups)[number];

export interface Abortable {
  readonly signal?: AbortSignal | undefined;
}

export interface SaveOptions extends Abortable {
  /** False for what is of no use after a power cut, or easily had again. Default true. */
  readonly durable?: boolean | undefined;
}

/** The bound of a value, in bytes. */
export const maxValue = 1024 * 1024;

export interface Store {
  /** What private keys in `staging` and `accounts` are encrypted with (keys.ts). */
  readonly key: StoreKey;
  load(group: Group, name: string, aspect: string, options?: Abortable): Promise<Buffer | undefined>;
  save(
    group: Group,
    name: string,
    aspect: string,
    value: Buffer | string,
    options?: SaveOptions,
  ): Promise<void>;
  /** Removing what isn't there is no error. */
  remove(group: Group, name: string, aspect: string, options?: SaveOptions): Promise<void>;
  /** Removes a name with all its aspects. */
  purge(group: Group, name: string, options?: SaveOptions): Promise<void>;
  /** Names of a group, sorted. Stray files are left out. */
  list(group: Group, options?: Abortable): Promise<string[]>;
  /** Aspects of a name, sorted; empty when there is none. */
  aspects(group: Group, name: string, options?: Abortable): Promise<string[]>;
  /** When an aspect was last written (ms since the epoch), or undefined. */
  modified(group: Group, name: string, aspect: string, options?: Abortable): Promise<number | undefined>;
  /**
   * Makes `files` (aspect to value) the whole of `domains/NAME`, and the set that was there `archive/NAME.N` (N:
   * the first free number from 1). A crash at any instant leaves the old set or the new set complete under
   * `domains`, at the latest after the next open(), which finishes what was begun. Gives N, or undefined where
   * nothing was replaced.
   */
  activate(
    name: string,
    files: ReadonlyMap<string, Buffer | string>,
    options?: Abortable,
  ): Promise<number | undefined>;
}

export type StoreErrorCode =
  | 'unreadable'
  | 'full'
  | 'bad-name'
  | 'too-large'
  | 'missing'
  | 'locked'
  | 'denied'
  | 'io'
  | 'garbage';

export class StoreError extends LatchkeyError<`store-${StoreErrorCode}`> {
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(`store-${code}`, message, options);
  }
}
