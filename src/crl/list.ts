/** One revocation list: whose certificates are looked for in it, and when it is wanted again. */
import { createHash } from 'node:crypto';
import type { Certificate } from '../pki/certificate.ts';
import type { Fetch } from './kept.ts';

const HOUR = 3_600_000;

/** Between two questions about one list, ms: it is asked for no sooner than this, whatever it says itself, */
const LEAST = HOUR;
/** and no later, since a list may be replaced long before it is over; an unchanged one costs little. */
const MOST = 12 * HOUR;

export interface ListedCertificate {
  /** Whose it is. */
  readonly owner: string;
  /** SHA-256 of its DER, lower-case hex. */
  readonly sha256: string;
  /** As crlSerial() has it. */
  readonly serial: string;
}

export class List {
  readonly id: string;
  readonly url: string;
  readonly issuer: Certificate;
  /** By SHA-256. */
  readonly certificates = new Map<string, ListedCertificate>();
  /** Of those, the ones that were found on it. */
  readonly revoked = new Set<string>();
  /** Not all of them have been looked for in the version that is there. */
  unsearched = true;
  fetched: Fetch | undefined;
  /** In a row. */
  failures = 0;
  /** When it is asked for, ms since the epoch. */
  next = -Infinity;

  constructor(url: string, issuer: Certificate) {
    this.id = listId(url, issuer);
    this.url = url;
    this.issuer = issuer;
  }

  /** When it is wanted again that was seen at `now` and says that it is good until `nextUpdate`, ms. */
  seen(now: number, nextUpdate: number | undefined, random: number): number {
    this.failures = 0;
    const pause = Math.min(Math.max((nextUpdate ?? Infinity) - now, LEAST), MOST);
    return (this.next = Math.round(now + pause * (1 + random / 4)));
  }

  /** When the next try is after one that failed. */
  failed(now: number, retryAfter: number | undefined, random: number): number {
    this.failures += 1;
    const pause = Math.max(
      Math.min(LEAST * 2 ** (this.failures - 1), MOST),
      Math.min(retryAfter ?? 0, 2 * MOST),
    );
    return (this.next = Math.round(now + pause * (1 + random / 4)));
  }
}

/** Of two issuers, both may say that their list is in the same place. */
export function listId(url: string, { sha256 }: Certificate): string {
  return createHash('sha256').update(`${sha256} ${url}`).digest('hex');
}
