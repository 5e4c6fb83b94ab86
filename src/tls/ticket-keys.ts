/** Keys of session tickets: what a client brings back to go on where it was is encrypted by them (RFC 5077). */
import { randomBytes } from 'node:crypto';
import { LatchkeyError } from '../base/errors.ts';

export const TICKET_KEY_SIZE = 48;

/** Each part has 16 bytes. */
export interface TicketKey {
  /** All of it. */
  readonly bytes: Buffer;
  /** In the clear in every ticket. */
  readonly name: Buffer;
  readonly hmacSecret: Buffer;
  readonly aesKey: Buffer;
}

/**
 * From its 48 bytes, in the order of SSLSessionTicketKeyFile.
 * @throws LatchkeyError `tls-bad-ticket-keys`
 */
export function ticketKeyOf(bytes: Uint8Array): TicketKey {
  if (bytes.length !== TICKET_KEY_SIZE) {
    throw new LatchkeyError('tls-bad-ticket-keys', `A ticket key has ${TICKET_KEY_SIZE} bytes`);
  }
  const own = Buffer.from(bytes);
  return {
    bytes: own,
    name: own.subarray(0, 16),
    hmacSecret: own.subarray(16, 32),
    aesKey: own.subarray(32),
  };
}

/** Of AES-128-CBC. */
const IV_SIZE = 16;
const IVS_AT_ONCE = 64;

/** Random starting points for tickets, drawn many at a time: a draw costs more than all else that is ours of a ticket. */
export class TicketIvs {
  #drawn = Buffer.alloc(0);
  #used = 0;

  /** Never the same one again. */
  next(): Buffer {
    if (this.#used === this.#drawn.length) {
      this.#drawn = randomBytes(IVS_AT_ONCE * IV_SIZE);
      this.#used = 0;
    }
    return this.#drawn.subarray(this.#used, (this.#used += IV_SIZE));
  }
}
