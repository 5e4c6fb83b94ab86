/** tls-alpn-01 (RFC 8737): a self-signed certificate with the acmeIdentifier extension, under ALPN acme-tls/1. */
import { createHash } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { Certificate, SubjectAlternativeName, id_ce_subjectAltName } from '@peculiar/asn1-x509';
import type { Extension } from '@peculiar/asn1-x509';
import { AcmeProblem } from '../acme/problem.ts';
import { identifierKey, readIdentifier, reverseName } from '../identifiers.ts';
import type { Identifier } from '../identifiers.ts';
import { connect } from './connect.ts';
import { describe, quote } from './failure.ts';
import type { Attempt } from './attempt.ts';

const PROTOCOL = 'acme-tls/1';
/** How long the peer may take to close, ms. */
const FAREWELL = 1000;
const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31';

/** Fulfilled when the server shows the certificate it should. Rejects with AcmeProblem. */
export async function validateTlsAlpn01(attempt: Attempt): Promise<void> {
  const { identifier, keyAuthorization, ports, resolver, signal } = attempt;
  const host = identifier.value;
  const addresses = identifier.type === 'ip' ? [host] : await resolver.addresses(host, signal);
  const { socket, at } = await connect(host, addresses, ports.https, signal);
  try {
    const servername = identifier.type === 'ip' ? reverseName(host) : host;
    const shown = await handshake(socket, servername, at, signal);
    const wrong = checkCertificate(shown, identifier, keyAuthorization);
    if (wrong) throw new AcmeProblem('unauthorized', `${at}: the certificate for ${servername} ${wrong}`);
  } finally {
    socket.setTimeout(FAREWELL, () => socket.destroy());
  }
}

async function handshake(
  socket: Socket,
  servername: string,
  at: string,
  signal: AbortSignal,
): Promise<X509Certificate> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  // No common algorithm would be an error of the peer's; any certificate is looked at, by our own rules.
  const tls = tlsConnect({ socket, servername, ALPNProtocols: [PROTOCOL], rejectUnauthorized: false });
  tls.once('secureConnect', resolve).once('error', reject);
  tls.once('close', () => reject(new Error('the connection was closed during the handshake')));
  try {
    await promise;
  } catch (cause) {
    socket.destroy();
    throw new AcmeProblem('tls', `${at}: TLS handshake for ${servername}: ${describe(cause)}`, { cause });
  } finally {
    signal.removeEventListener('abort', abort);
    tls.on('error', () => {});
  }
  // A proper end: a peer that logs handshakes should not see one fail.
  tls.end();
  if (tls.alpnProtocol !== PROTOCOL) {
    throw new AcmeProblem('unauthorized', `${at} does not answer ${PROTOCOL} for ${servername}`);
  }
  const shown = tls.getPeerX509Certificate();
  if (!shown) throw new AcmeProblem('unauthorized', `${at} shows no certificate for ${servername}`);
  return shown;
}

/** What is wrong with a challenge certificate (section 3), or undefined. */
function checkCertificate(
  shown: X509Certificate,
  identifier: Identifier,
  keyAuthorization: string,
): string | undefined {
  if (!isSelfSigned(shown)) return 'is not self-signed';
  let extensions: readonly Extension[];
  let named: string;
  try {
    extensions = AsnConvert.parse(shown.raw, Certificate).tbsCertificate.extensions ?? [];
    named = namesOf(extensions).join(' and ');
  } catch {
    return 'can not be read';
  }
  if (named !== identifierKey(identifier)) {
    return `is for ${quote(named) || 'no name'}, not for ${identifierKey(identifier)} alone`;
  }
  return checkDigest(extensions, createHash('sha256').update(keyAuthorization).digest());
}

function checkDigest(extensions: readonly Extension[], digest: Buffer): string | undefined {
  const [found, ...more] = extensions.filter(({ extnID }) => extnID === ACME_IDENTIFIER);
  if (!found) return 'has no acmeIdentifier extension';
  if (more.length > 0) return 'has more than one acmeIdentifier extension';
  if (!found.critical) return 'has an acmeIdentifier extension that is not critical';
  const wanted = Buffer.from(AsnConvert.serialize(new OctetString(digest)));
  if (wanted.equals(Buffer.from(found.extnValue.buffer))) return undefined;
  return 'has the acmeIdentifier of another key authorization';
}

function namesOf(extensions: readonly Extension[]): string[] {
  return extensions
    .filter(({ extnID }) => extnID === id_ce_subjectAltName)
    .flatMap(({ extnValue }) => [...AsnConvert.parse(extnValue, SubjectAlternativeName)])
    .map((name) => {
      if (name.dNSName !== undefined) return `dns:${name.dNSName.toLowerCase()}`;
      const address = name.iPAddress === undefined ? undefined : readIdentifier('ip', name.iPAddress);
      return address && !('wrong' in address) ? identifierKey(address) : 'another kind of name';
    });
}

function isSelfSigned(certificate: X509Certificate): boolean {
  try {
    // Not checkIssued(): it wants the right to sign certificates, which these need not have.
    return certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey);
  } catch {
    return false;
  }
}
