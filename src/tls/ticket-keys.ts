/** Keys of session tickets: what a client brings back to go on where it was is encrypted by them (RFC 5077). */
import { LatchkeyError } from '../base/errors.ts';

export const TICKET_KEY_SIZE = 48;

/** Each part has 16 bytes. */
export interface TicketKey {
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
  return { name: own.subarray(0, 16), hmacSecret: own.subarray(16, 32), aesKey: own.subarray(32) };
}
