/**
 * What counts of a client's certificate when OpenSSL has found that it leads to a known authority. Node tells a server
 * the client's own certificate and nothing of what stood between it and the authority: whoever issued it is known here
 * only where it is among the authorities that are configured.
 */
import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { pemBlocks } from '../pki/pem.ts';
import { revocationProblem } from './revocation.ts';
import type { Revocation } from './revocation.ts';

export interface ClientRules {
  /** Certificates above the client's own at most; undefined: any. Those of clients themselves count as one. */
  readonly depth?: number | undefined;
  readonly revocation?: Revocation | undefined;
}

/** What a policy says of clients' certificates. */
export interface ClientPolicy {
  readonly clientRules: ClientRules;
  /** PEM of the authorities that they lead to. */
  readonly clientCa: string | undefined;
}

/** Of PEM texts from an administrator: the lists of a large authority have some megabytes. */
const LIMITS = { size: 64 * 1024 * 1024, blocks: 5000 };
const LONGEST = 32;

/** Lists that OpenSSL goes by itself: it knows the whole chain, and can do nothing but look up all of it. */
export function listsForOpenssl({ revocation }: ClientRules): string[] {
  if (revocation?.check !== 'chain' || revocation.optional) return [];
  const blocks = pemBlocks(revocation.crls, LIMITS).filter(({ label }) => label === 'X509 CRL');
  return blocks.map(({ pem }) => pem);
}

/**
 * Why a client may not come in, or undefined. A resumed session was looked at when it began, and is good under no
 * other policy, lists included.
 */
export function clientProblemBy(policy: ClientPolicy, socket: TLSSocket, now: number): string | undefined {
  const { depth, revocation } = policy.clientRules;
  const leaf = socket.isSessionReused() ? undefined : socket.getPeerX509Certificate();
  if (!leaf) return undefined;
  const chain = chainOf(leaf, policy);
  if (depth !== undefined && depthOf(chain) > depth)
    return `more certificates are above its own than SSLVerifyDepth ${depth} allows`;
  if (!revocation || listsForOpenssl(policy.clientRules).length > 0) return undefined;
  return revocationProblem(revocation, chain, now);
}

/** The client's certificate and the authorities above it, as far as they are configured. */
function chainOf(leaf: X509Certificate, policy: ClientPolicy): readonly X509Certificate[] {
  const chain = [leaf];
  let last = leaf;
  while (!isIssuedBy(last, last) && chain.length < LONGEST) {
    const below = last;
    const issuer = authoritiesOf(policy).find((candidate) => isIssuedBy(below, candidate));
    if (!issuer) break;
    chain.push(issuer);
    last = issuer;
  }
  return chain;
}

/**
 * What stands between a client's certificate and its root, nearest first, as far as it is among the authorities that
 * are configured.
 */
export function issuersOf(leaf: X509Certificate, policy: ClientPolicy): readonly X509Certificate[] {
  return chainOf(leaf, policy)
    .slice(1)
    .filter((issuer) => !isIssuedBy(issuer, issuer));
}

/** A certificate that nobody configured has issued hangs on one that the client brought, and that on a root. */
function depthOf(chain: readonly X509Certificate[]): number {
  const [leaf] = chain;
  const brought = chain.length === 1 && leaf !== undefined && !isIssuedBy(leaf, leaf);
  return brought ? 2 : chain.length - 1;
}

const authorities = new WeakMap<ClientPolicy, readonly X509Certificate[]>();

function authoritiesOf(policy: ClientPolicy): readonly X509Certificate[] {
  let found = authorities.get(policy);
  if (!found) {
    const blocks = pemBlocks(policy.clientCa ?? '', LIMITS).filter(({ label }) => label === 'CERTIFICATE');
    authorities.set(policy, (found = blocks.map(({ pem }) => new X509Certificate(pem))));
  }
  return found;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
