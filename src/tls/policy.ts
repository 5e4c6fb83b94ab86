/** What a virtual host asks of TLS beyond its certificate. Plain data; equal policies have equal ids. */
import { constants, createHash } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContextOptions, SecureVersion } from 'node:tls';
import { LatchkeyError } from '../base/errors.ts';
import { listsForOpenssl } from './client-certificates.ts';
import type { ClientRules } from './client-certificates.ts';
import { listsOf } from './revocation.ts';
import { modernCiphers, modernSuites } from './suites.ts';

export interface TlsPolicySettings {
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
  readonly maxVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
  /** OpenSSL cipher list for TLS 1.2. Default: ECDHE with AEAD only. */
  readonly ciphers?: string | undefined;
  /** OpenSSL list of TLS 1.3 suites. Default: OpenSSL's. */
  readonly ciphersuites?: string | undefined;
  /** Whose order of suites counts. Default `modern`: the server's, but ChaCha20 for clients that name it first. */
  readonly cipherOrder?: CipherOrder | undefined;
  /** `optional`: none is needed, but one that is shown must be good. Default `none`. */
  readonly clientAuth?: 'none' | 'optional' | 'require' | undefined;
  /** PEM of the CAs that client certificates must lead to. Needed unless clientAuth is `none`. */
  readonly clientCa?: string | undefined;
  readonly clientRules?: ClientRules | undefined;
  /** OpenSSL's list of groups for the key exchange. Default: OpenSSL's own. */
  readonly groups?: string | undefined;
  /** OpenSSL's list of signature algorithms. Default: OpenSSL's own. */
  readonly signatureAlgorithms?: string | undefined;
  readonly sessions?: SessionRules | undefined;
}

export type CipherOrder = 'client' | 'server' | 'modern';

/** How long, and by which keys, a client may go on where it was. */
export interface SessionRules {
  /** False: every handshake is a whole one. */
  readonly tickets: boolean;
  /** Seconds that a session may be resumed. */
  readonly timeout: number;
  /** Base64 of 48 bytes (SSLSessionTicketKeyFile); undefined: the keys that all workers share and that are rotated. */
  readonly ticketKey: string | undefined;
}

export interface TlsPolicy {
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  readonly ciphers: string;
  readonly ciphersuites: string | undefined;
  readonly cipherOrder: CipherOrder;
  readonly clientAuth: 'none' | 'optional' | 'require';
  readonly clientCa: string | undefined;
  readonly clientRules: ClientRules;
  readonly groups: string | undefined;
  readonly signatureAlgorithms: string | undefined;
  readonly sessions: SessionRules;
  /** A hash of all the above. */
  readonly id: string;
}

/** Named also when a policy names those of TLS 1.2 only: Node would take the absence for a wish to have none. */
const SUITES = modernSuites.join(':');

/** As httpd's: SSLSessionTickets, SSLSessionCacheTimeout. */
const defaultSessions: SessionRules = { tickets: true, timeout: 300, ticketKey: undefined };

/**
 * Completes a policy and tries it.
 * @throws LatchkeyError `tls-bad-policy`: versions that exclude each other, a list OpenSSL doesn't accept, client
 *   authentication without CAs. PkiError for revocation lists that can't be read.
 */
export function createPolicy(settings: TlsPolicySettings = {}): TlsPolicy {
  const complete = {
    minVersion: settings.minVersion ?? 'TLSv1.2',
    maxVersion: settings.maxVersion ?? 'TLSv1.3',
    ciphers: settings.ciphers ?? modernCiphers.join(':'),
    ciphersuites: settings.ciphersuites,
    cipherOrder: settings.cipherOrder ?? 'modern',
    clientAuth: settings.clientAuth ?? 'none',
    clientCa: settings.clientCa,
    clientRules: settings.clientRules ?? {},
    groups: settings.groups,
    signatureAlgorithms: settings.signatureAlgorithms,
    sessions: settings.sessions ?? defaultSessions,
  };
  const id = createHash('sha256').update(JSON.stringify(complete)).digest('base64url').slice(0, 22);
  const policy: TlsPolicy = { ...complete, id };
  check(policy);
  return policy;
}

/** The default policy: TLS 1.2 and 1.3, no client authentication. */
export const modernPolicy: TlsPolicy = createPolicy();

/** As tls.createSecureContext() takes it, certificates apart. */
export function contextOptions(policy: TlsPolicy): SecureContextOptions {
  return {
    minVersion: policy.minVersion,
    maxVersion: policy.maxVersion,
    ciphers: `${policy.ciphersuites ?? SUITES}:${policy.ciphers}`,
    honorCipherOrder: policy.cipherOrder !== 'client',
    // A client that starts a handshake within a connection gets a refusal from OpenSSL, and does not cost another.
    // Without tickets TLS 1.3 would still send some, of sessions that nobody keeps: they lead to whole handshakes.
    secureOptions:
      constants.SSL_OP_NO_RENEGOTIATION |
      (policy.sessions.tickets ? 0 : constants.SSL_OP_NO_TICKET) |
      (policy.cipherOrder === 'modern' ? constants.SSL_OP_PRIORITIZE_CHACHA : 0),
    sessionTimeout: policy.sessions.timeout,
    ...(policy.groups === undefined ? {} : { ecdhCurve: policy.groups }),
    ...(policy.signatureAlgorithms === undefined ? {} : { sigalgs: policy.signatureAlgorithms }),
    ...(policy.clientAuth !== 'none' && policy.clientCa !== undefined
      ? { ca: policy.clientCa, crl: listsForOpenssl(policy.clientRules) }
      : {}),
  };
}

function check(policy: TlsPolicy): void {
  if (policy.minVersion > policy.maxVersion) {
    throw badPolicy(`${policy.minVersion} at least and ${policy.maxVersion} at most leaves no version`);
  }
  if (policy.clientAuth !== 'none' && !policy.clientCa?.includes('-----BEGIN CERTIFICATE-----')) {
    throw badPolicy('Client certificates are asked for, but no CA is given that they must lead to');
  }
  try {
    createSecureContext(contextOptions(policy));
  } catch (cause) {
    throw badPolicy(
      'OpenSSL does not accept the list of ciphers, groups or signature algorithms, or the CA file for clients',
      { cause },
    );
  }
  const { revocation } = policy.clientRules;
  if (revocation && listsOf(revocation).length === 0 && !revocation.optional)
    throw badPolicy(
      'The revocation of client certificates is to be checked, but there is no revocation list',
    );
}

function badPolicy(message: string, options?: ErrorOptions): LatchkeyError<'tls-bad-policy'> {
  return new LatchkeyError('tls-bad-policy', message, options);
}
