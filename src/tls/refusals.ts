/** What is said to a peer before TLS begins with it, and before the connection is closed. */

/** TLS alerts (RFC 8446 section 6) that refuse a handshake. */
const alerts = {
  handshake_failure: 40,
  access_denied: 49,
  decode_error: 50,
  internal_error: 80,
  unrecognized_name: 112,
  no_application_protocol: 120,
} as const;
export type AlertName = keyof typeof alerts;

/** The record of a fatal alert, in the clear: no keys are agreed yet. */
export function alertRecord(name: AlertName): Buffer {
  const FATAL = 2;
  return Buffer.of(21, 3, 3, 0, 2, FATAL, alerts[name]);
}

const body =
  "Bad Request\nYour browser sent a request that this server could not understand.\nReason: You're speaking plain HTTP to an SSL-enabled server port.\nInstead use the HTTPS scheme to access this URL, please.\n";

/** httpd's answer to plain HTTP on a TLS port. */
export const plainHttpAnswer: Buffer = Buffer.from(
  [
    'HTTP/1.1 400 Bad Request',
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n'),
);

/** Whether the first octets a peer sent could begin an HTTP request: a method is in upper-case letters. */
export function looksLikeHttp(first: Buffer): boolean {
  return /^[A-Z]{1,16}(?: |$)/.test(first.toString('latin1', 0, 17));
}
