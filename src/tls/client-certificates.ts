/**
 * What counts of a client's certificate when OpenSSL has found that it leads to a known authority. Node tells a server
 * the client's own certificate and nothing of what stood between it and the authority: whoever issued it is known here
 * only where it is among the authorities that are configured.
 */
import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { partsOf } from '../pki/der.ts';
import { pemBlocks } from '../pki/pem.ts';
import { parseRevocationLists } from '../pki/revocation-list.ts';
import type { RevocationList } from '../pki/revocation-list.ts';

export interface ClientRules {
  /** Certificates above the client's own at most; undefined: any. Those of clients themselves count as one. */
  readonly depth?: number | undefined;
  readonly revocation?: Revocation | undefined;
}

export interface Revocation {
  /** PEM of the lists. */
  readonly crls: string;
  /** Whose certificate is looked up: the client's, or also those of the authorities between it and the root. */
  readonly check: 'leaf' | 'chain';
  /** A certificate that there is no list for is good. */
  readonly optional: boolean;
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

const parsed = new WeakMap<Revocation, readonly RevocationList[]>();

/** Parsed once. @throws PkiError */
export function listsOf(revocation: Revocation): readonly RevocationList[] {
  let lists = parsed.get(revocation);
  if (!lists) parsed.set(revocation, (lists = parseRevocationLists(revocation.crls)));
  return lists;
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

function revocationProblem(
  revocation: Revocation,
  chain: readonly X509Certificate[],
  now: number,
): string | undefined {
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1];
    // The root is trusted because it is there.
    if (index > 0 && (revocation.check === 'leaf' || !issuer)) return undefined;
    const problem = problemOf(certificate, issuer, revocation, now);
    if (problem !== undefined) return `${problem} (of ${certificate.subject.replaceAll('\n', ', ')})`;
  }
  return undefined;
}

function problemOf(
  certificate: X509Certificate,
  issuer: X509Certificate | undefined,
  revocation: Revocation,
  now: number,
): string | undefined {
  const { serial, issuer: name } = partsOf(certificate);
  // Of an issuer that is not configured there is the name alone; the list is the administrator's all the same.
  const lists = listsOf(revocation).filter(
    (list) => list.issuer.equals(name) && (!issuer || isSignedBy(list, issuer)),
  );
  if (lists.length === 0)
    return revocation.optional ? undefined : 'there is no revocation list of its issuer';
  if (lists.some((list) => list.has(serial))) return 'it is revoked';
  const current = lists.some(
    ({ thisUpdate, nextUpdate }) => thisUpdate <= now && (nextUpdate === undefined || now <= nextUpdate),
  );
  return current ? undefined : 'the revocation list of its issuer has expired';
}

/** By list and SHA-256 of the issuer: a signature is looked at once. */
const signed = new WeakMap<RevocationList, Map<string, boolean>>();

function isSignedBy(list: RevocationList, issuer: X509Certificate): boolean {
  const known = signed.get(list) ?? new Map<string, boolean>();
  signed.set(list, known);
  const id = issuer.fingerprint256;
  let good = known.get(id);
  if (good === undefined) known.set(id, (good = list.isSignedBy(issuer.publicKey)));
  return good;
}
