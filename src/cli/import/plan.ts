/** From what was found to managed domains: each certificate is checked, those for the same names belong together. */
import type { KeyObject } from 'node:crypto';
import { explain } from '../../base/errors.ts';
import { type Certificate, matchesKey, parseChain } from '../../pki/certificate.ts';
import { keyFileSuffix, keyFromPem } from '../../pki/keys.ts';
import type { KeySpec } from '../../pki/keyspec.ts';
import { certificateName } from '../../pki/names.ts';
import type { Found, FoundAccount, FoundCertificate } from './found.ts';

export interface Pair {
  readonly file: string;
  readonly spec: KeySpec;
  readonly leaf: Certificate;
  readonly chain: string;
  readonly key: KeyObject;
}

export interface PlannedDomain {
  readonly name: string;
  readonly names: readonly string[];
  /** One for each kind of key, RSA first. */
  readonly pairs: readonly Pair[];
  readonly authority: string | undefined;
  readonly contacts: readonly string[];
}

export interface ImportPlan {
  readonly domains: readonly PlannedDomain[];
  readonly accounts: readonly FoundAccount[];
  /** What is not taken over, and why. */
  readonly problems: readonly string[];
}

/** Of several certificates for one key and the same names the one that lives longest is taken. */
export function planImport(found: Found, now: number): ImportPlan {
  const problems = [...found.problems];
  const domains = new Map<string, PlannedDomain>();
  for (const certificate of found.certificates) {
    const pair = check(certificate, now);
    if (typeof pair === 'string') {
      problems.push(`${certificate.file}: ${pair}`);
      continue;
    }
    const names = namesOf(pair.leaf);
    const [name = ''] = names;
    const id = [...names].sort().join(' ');
    const before = domains.get(id);
    domains.set(id, {
      name: before?.name ?? name,
      names: before?.names ?? names,
      pairs: withPair(before?.pairs ?? [], pair),
      authority: certificate.authority ?? before?.authority,
      contacts: certificate.contacts ?? before?.contacts ?? contactsAt(certificate.authority, found.accounts),
    });
  }
  return { domains: withoutOverlap([...domains.values()], problems), accounts: found.accounts, problems };
}

/** A certificate that can be served, or why it can't. */
function check({ file, chain, key: pem }: FoundCertificate, now: number): Pair | string {
  try {
    const certificates = parseChain(chain);
    const [leaf] = certificates;
    const key = keyFromPem(pem);
    if (!leaf || !matchesKey(leaf, key)) return 'the private key beside it is not that of this certificate';
    if (leaf.notAfter <= now) return `it has expired on ${new Date(leaf.notAfter).toUTCString()}`;
    if (leaf.names.length === 0) return 'it has no names';
    for (const name of leaf.names) certificateName(name);
    const spec = specOf(key);
    if (!spec)
      return `its key is of the type ${key.asymmetricKeyType ?? 'none'}: RSA and EC keys are taken over`;
    return { file, spec, leaf, key, chain: certificates.map((certificate) => certificate.pem).join('') };
  } catch (error) {
    return explain(error);
  }
}

/** As MDPrivateKeys would have it. */
function specOf(key: KeyObject): KeySpec | undefined {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'rsa') return { type: 'RSA', bits: Math.max(2048, modulusLength ?? 0) };
  if (key.asymmetricKeyType !== 'ec' || namedCurve === undefined) return undefined;
  return { type: 'EC', name: namedCurve === 'prime256v1' ? 'secp256r1' : namedCurve.toLowerCase() };
}

/** The commonName first, as the other programs have it as the name of the whole. */
function namesOf(leaf: Certificate): readonly string[] {
  const common = /^CN=(.+)$/m.exec(leaf.x509.subject)?.[1]?.toLowerCase();
  const rest = leaf.names.filter((name) => name !== common);
  return common !== undefined && rest.length < leaf.names.length ? [common, ...rest] : leaf.names;
}

function withPair(pairs: readonly Pair[], pair: Pair): readonly Pair[] {
  const suffix = keyFileSuffix(pair.spec);
  const same = pairs.find(({ spec }) => keyFileSuffix(spec) === suffix);
  if (same && same.leaf.notAfter >= pair.leaf.notAfter) return pairs;
  const others = pairs.filter((other) => other !== same);
  return pair.spec.type === 'RSA' ? [pair, ...others] : [...others, pair];
}

function contactsAt(authority: string | undefined, accounts: readonly FoundAccount[]): readonly string[] {
  return accounts.find((account) => account.authority === authority)?.contacts ?? [];
}

/** A name belongs to one managed domain: the certificate with more names keeps it. */
function withoutOverlap(domains: readonly PlannedDomain[], problems: string[]): PlannedDomain[] {
  const owners = new Map<string, string>();
  const kept: PlannedDomain[] = [];
  for (const domain of domains.toSorted((a, b) => b.names.length - a.names.length)) {
    const taken = domain.names.find((name) => owners.has(name));
    if (taken !== undefined) {
      const files = domain.pairs.map(({ file }) => file).join(', ');
      problems.push(`${files}: ${taken} is in the larger certificate of ${owners.get(taken) ?? ''} already`);
      continue;
    }
    for (const name of domain.names) owners.set(name, domain.name);
    kept.push(domain);
  }
  return kept.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
