/** What the other end of a TLS connection has shown. */
import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';

/** Certificates of a chain that are looked at. */
const LONGEST = 32;

/**
 * Of a client's socket: the server's certificate, then what it leads to, up to the root of our own that OpenSSL found.
 * Empty without one. Of a resumed session only the first may be known; of a server's socket, always.
 */
export function peerChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  // Undefined at an end that has no certificate, which the types leave out.
  let next: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  let before: Partial<DetailedPeerCertificate> | undefined = undefined;
  while (next?.raw && next !== before && chain.length < LONGEST) {
    chain.push(new X509Certificate(next.raw));
    before = next;
    next = next.issuerCertificate;
  }
  return chain;
}
