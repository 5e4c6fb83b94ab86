/** Signed certificate timestamps, embedded in a certificate by its CA (RFC 6962 section 3.3). */
import type { X509Certificate } from 'node:crypto';
import { derElements, partsOf, tags } from './der.ts';

export interface SignedTimestamp {
  /** Lower-case hex of the log's 32-byte id. */
  readonly logId: string;
  /** ms since the epoch. */
  readonly timestamp: number;
  /** Lower-case hex. */
  readonly signature: string;
  /** As OpenSSL calls it: `ecdsa-with-SHA256`; `unknown(4,7)` for what it does not know. */
  readonly signatureType: string;
}

/** 1.3.6.1.4.1.11129.2.4.2 */
const SCT_LIST = '2b06010401d679020402';

/** Hash and signature algorithms of TLS 1.2 (RFC 5246 section 7.4.1.4.1) that logs may use. */
const signatureTypes: Readonly<Record<string, string>> = {
  '4,1': 'RSA-SHA256',
  '4,3': 'ecdsa-with-SHA256',
};

/** Empty where the certificate has none, or what it has can't be read. @throws PkiError `der-unreadable` */
export function signedTimestamps(certificate: X509Certificate): SignedTimestamp[] {
  const extension = partsOf(certificate).extensions.get(SCT_LIST);
  const [list] = extension ? derElements(extension) : [];
  return (list?.tag === tags.octets && parseTimestampList(list.content)) || [];
}

/** A SignedCertificateTimestampList. Timestamps of versions to come are left out; undefined for a malformed list. */
export function parseTimestampList(bytes: Uint8Array): SignedTimestamp[] | undefined {
  const whole = new Reader(bytes);
  const list = whole.block();
  if (!list || whole.left > 0) return undefined;
  const found: SignedTimestamp[] = [];
  const entries = new Reader(list);
  while (entries.left > 0) {
    const entry = entries.block();
    if (!entry) return undefined;
    if (entry[0] !== 0) continue;
    const timestamp = parseTimestamp(entry);
    if (!timestamp) return undefined;
    found.push(timestamp);
  }
  return found;
}

function parseTimestamp(bytes: Uint8Array): SignedTimestamp | undefined {
  const reader = new Reader(bytes);
  reader.take(1);
  const logId = reader.take(32);
  const time = reader.take(8);
  const extensions = reader.block();
  const algorithm = reader.take(2);
  const signature = reader.block();
  if (!logId || !time || !extensions || !algorithm || !signature || reader.left > 0) return undefined;
  const timestamp = Number(Buffer.from(time).readBigUInt64BE());
  // Beyond what a Date can hold it is no time.
  if (timestamp > 8.64e15) return undefined;
  const type = algorithm.join(',');
  return {
    logId: Buffer.from(logId).toString('hex'),
    timestamp,
    signature: Buffer.from(signature).toString('hex'),
    signatureType: signatureTypes[type] ?? `unknown(${type})`,
  };
}

/** TLS presentation language: fixed fields, and vectors with two bytes of length. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(length: number): Uint8Array | undefined {
    if (this.left < length) return undefined;
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  block(): Uint8Array | undefined {
    const length = this.take(2);
    return length && this.take((length[0] ?? 0) * 256 + (length[1] ?? 0));
  }
}
