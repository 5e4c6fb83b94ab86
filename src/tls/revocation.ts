/** Lists of revoked certificates that an administrator gives: what they say of a peer's chain. */
import type { X509Certificate } from 'node:crypto';
import { partsOf } from '../pki/der.ts';
import { parseRevocationLists } from '../pki/revocation-list.ts';
import type { RevocationList } from '../pki/revocation-list.ts';

export interface Revocation {
  /** PEM of the lists. */
  readonly crls: string;
  /** Whose certificate is looked up: the peer's, or also those of the authorities between it and the root. */
  readonly check: 'leaf' | 'chain';
  /** A certificate that there is no list for is good. */
  readonly optional: boolean;
}

const parsed = new WeakMap<Revocation, readonly RevocationList[]>();

/** Parsed once. @throws PkiError */
export function listsOf(revocation: Revocation): readonly RevocationList[] {
  let lists = parsed.get(revocation);
  if (!lists) parsed.set(revocation, (lists = parseRevocationLists(revocation.crls)));
  return lists;
}

/** What is wrong with a chain, leaf first, by the lists that are configured; undefined where nothing is. */
export function revocationProblem(
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
