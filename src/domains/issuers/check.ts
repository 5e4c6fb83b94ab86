/** What a CA gives is checked before anything is done with it. */
import type { KeyObject } from 'node:crypto';
import { explain } from '../../base/errors.ts';
import { type Certificate, type CertificateInfo, coversName, matchesKey } from '../../pki/certificate.ts';
import { curveNamed } from '../../pki/keys.ts';
import type { KeySpec } from '../../pki/keyspec.ts';
import { weakLinkOf } from '../../pki/weak-links.ts';
import { ownProblem, type Problem } from '../issuer.ts';
import type { Held } from '../state.ts';

/**
 * Why the chain that `read` gives is refused, or undefined when its leaf is for exactly `key` and good for all `names`,
 * and nothing in it is too weak to be served.
 */
export function chainProblem(
  read: () => readonly Certificate[],
  key: KeyObject | undefined,
  names: readonly string[],
  now: number,
): Problem | undefined {
  let chain: readonly Certificate[];
  try {
    chain = read();
  } catch (error) {
    return ownProblem('certificate-unreadable', `The CA gave no certificate: ${explain(error)}`);
  }
  const [leaf] = chain;
  if (!leaf || !key || !matchesKey(leaf, key)) {
    return ownProblem('certificate-wrong-key', 'The CA gave a certificate for another key: it is refused');
  }
  const weakness = weakLinkOf(chain);
  if (weakness !== undefined) {
    const detail = `The CA gave a chain that is too weak to be served (${weakness}): it is refused; choose another CA`;
    return ownProblem('certificate-weak', detail);
  }
  return shortcomingOf(leaf, names, now);
}

/** Whether what is staged is for the key and the names as configured, and good now. */
export function isAsWanted(
  staged: Held | { readonly damage: string } | undefined,
  spec: KeySpec,
  names: readonly string[],
  now: number,
): staged is Held {
  if (!staged || 'damage' in staged) return false;
  if (weakLinkOf(staged.chain) !== undefined) return false;
  return fits(staged.key, spec) && !shortcomingOf(staged.info, names, now);
}

/** Whether a staged key is one as configured: hand-replaced or left from another configuration, it may not be. */
export function fits(key: KeyObject, spec: KeySpec): boolean {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (spec.type === 'RSA') return modulusLength !== undefined && modulusLength >= spec.bits;
  return namedCurve === curveNamed(spec.name);
}

/** What keeps a certificate from serving `names` now, or undefined. */
function shortcomingOf(
  leaf: Pick<CertificateInfo, 'names' | 'notAfter'>,
  names: readonly string[],
  now: number,
): Problem | undefined {
  const uncovered = names.filter((name) => !coversName(leaf, name));
  if (uncovered.length > 0) {
    const detail = `The certificate does not cover ${uncovered.join(', ')}, only ${leaf.names.join(', ')}: it is refused`;
    return ownProblem('certificate-wrong-names', detail);
  }
  if (leaf.notAfter > now) return undefined;
  const until = new Date(leaf.notAfter).toUTCString();
  return ownProblem('certificate-expired', `The certificate has expired already (${until}): it is refused`);
}
