/** What is found of other programs' certificates and accounts, before any of it is believed. */
import type { KeyObject } from 'node:crypto';

export interface FoundCertificate {
  /** The certificate's file, for messages. */
  readonly file: string;
  /** PEM, leaf first. */
  readonly chain: string;
  /** PEM. */
  readonly key: string;
  /** Directory URL of the CA that it was ordered from, where that is known. */
  readonly authority?: string | undefined;
  /** `mailto:` URLs, where they are known. */
  readonly contacts?: readonly string[] | undefined;
}

export interface FoundAccount {
  readonly file: string;
  /** The CA's directory URL. */
  readonly authority: string;
  /** The account's own. */
  readonly url: string;
  readonly key: KeyObject;
  readonly contacts: readonly string[];
}

export interface Found {
  readonly certificates: FoundCertificate[];
  readonly accounts: FoundAccount[];
  /** What is there but can't be taken over, in words that begin with its file. */
  readonly problems: string[];
}

export interface ReadOptions {
  /** Directory URL of the CA, for accounts of which the folder does not tell. */
  readonly authority?: string | undefined;
}

/** Reads the folder of one program. Rejects only where the folder itself can't be read. */
export type Reader = (folder: string, options: ReadOptions) => Promise<Found>;

export function nothing(): Found {
  return { certificates: [], accounts: [], problems: [] };
}
