/** TLS towards a backend: what we ask of it, and whether it has given that. */
import { createSecureContext, checkServerIdentity } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { X509Certificate } from 'node:crypto';
import { explain, LatchkeyError, systemCode } from '../base/errors.ts';
import { Certificate } from '../pki/certificate.ts';
import { onePerKeyType } from './machine-certificates.ts';
import type { MachineCertificate } from './machine-certificates.ts';
import { peerChain } from './peer-chain.ts';
import { revocationProblem } from './revocation.ts';
import type { Revocation } from './revocation.ts';
import { modernCiphers, modernSuites } from './suites.ts';

export interface BackendPolicy {
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL's lists; undefined: ours. */
  readonly ciphers: string | undefined;
  readonly ciphersuites: string | undefined;
  /** PEM certificates that backends are verified with. */
  readonly roots: readonly string[];
  readonly machine: readonly MachineCertificate[];
  /** `any-issuer`: it may be signed by anybody, but nothing else may be wrong with it. */
  readonly verify: 'require' | 'any-issuer' | 'none';
  /** Certificates above the backend's own at most; undefined: OpenSSL's bound. */
  readonly depth: number | undefined;
  /** Lists that its chain is looked up in; undefined: none. Not where `verify` is `none`. */
  readonly revocation: Revocation | undefined;
  /** Its certificate is for the name in the URL. */
  readonly checkName: boolean;
  /** It is valid now, also where it isn't verified. */
  readonly checkExpiry: boolean;
}

export class BackendRefusedError extends LatchkeyError<'backend-refused'> {}

export type BackendOptions = Required<
  Pick<ConnectionOptions, 'secureContext' | 'requestOCSP' | 'rejectUnauthorized' | 'checkServerIdentity'>
>;

/** For tls.connect(). @throws what OpenSSL finds wrong with the policy */
export function backendOptions(policy: BackendPolicy): BackendOptions {
  const machine = onePerKeyType(policy.machine);
  return {
    secureContext: createSecureContext({
      ca: [...policy.roots],
      cert: machine.map(({ chainPem }) => chainPem),
      key: machine.map(({ keyPem }) => keyPem),
      minVersion: policy.minVersion,
      maxVersion: policy.maxVersion,
      ciphers: [
        policy.ciphersuites ?? modernSuites.join(':'),
        policy.ciphers ?? modernCiphers.join(':'),
      ].join(':'),
    }),
    requestOCSP: policy.verify !== 'none',
    rejectUnauthorized: policy.verify === 'require',
    // What there is to say of the name is said below: it may be asked for where nothing else is.
    checkServerIdentity: () => undefined,
  };
}

/** What OpenSSL says of a certificate whose issuer nobody vouches for. */
const UNKNOWN_ISSUER: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
]);

export interface BackendCheck {
  readonly policy: BackendPolicy;
  /** Of the URL. */
  readonly name: string;
  /** DER of the OCSP response that came along. */
  readonly staple: Buffer | undefined;
  /** ms since the epoch. */
  readonly now: number;
}

/**
 * To be asked when the handshake is done.
 * @throws BackendRefusedError
 */
export async function checkBackend(socket: TLSSocket, asked: BackendCheck): Promise<void> {
  const { policy, name, staple, now } = asked;
  const chain = peerChain(socket);
  const [leaf, issuer] = chain;
  if (!leaf) throw refused('it has shown no certificate');
  // Node has its code here, whatever the types say.
  const problem = String(socket.authorizationError ?? '');
  if (policy.verify === 'any-issuer' && problem !== '' && !UNKNOWN_ISSUER.has(problem))
    throw refused(`its certificate is not good: ${problem}`);
  if (policy.checkExpiry && !(leaf.validFromDate.getTime() <= now && now <= leaf.validToDate.getTime()))
    throw refused('its certificate is not valid now: it has expired, or its time has not come');
  const misnamed = policy.checkName ? checkServerIdentity(name, socket.getPeerCertificate()) : undefined;
  if (misnamed) throw refused(explain(misnamed));
  if (policy.verify === 'none') return;
  if (policy.depth !== undefined && chain.length - 1 > policy.depth)
    throw refused(`its chain is longer than the ${policy.depth} certificates that are allowed`);
  const revoked = policy.revocation && revocationProblem(policy.revocation, chain, now);
  if (revoked !== undefined) throw refused(`its certificate is not good: ${revoked}`);
  if (staple && issuer) await checkStaple(staple, leaf, issuer, now);
}

/** What only shows that a responder is away, or slow, is no reason to be cut off: then it is as if none had come. */
const HARMLESS: ReadonlySet<string> = new Set(['ocsp-expired', 'ocsp-not-yet-valid', 'ocsp-refused']);

async function checkStaple(
  staple: Buffer,
  leaf: X509Certificate,
  issuer: X509Certificate,
  now: number,
): Promise<void> {
  // Forty megabytes that only backends who staple are worth.
  const [{ readOcspResponse }, { ocspIssuer, questionAbout }] = await Promise.all([
    import('../pki/ocsp-response.ts'),
    import('../pki/ocsp-request.ts'),
  ]);
  const question = questionAbout(new Certificate(leaf.raw), ocspIssuer(new Certificate(issuer.raw)));
  try {
    const { status } = readOcspResponse(staple, question, now);
    if (status === 'revoked') throw refused('its certificate is revoked, as its own OCSP response says');
  } catch (error) {
    if (error instanceof BackendRefusedError) throw error;
    if (HARMLESS.has(systemCode(error) ?? '')) return;
    throw refused(`its OCSP response is not good: ${explain(error)}`);
  }
}

function refused(why: string): BackendRefusedError {
  return new BackendRefusedError('backend-refused', why);
}
