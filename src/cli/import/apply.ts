/** A plan of an import put into a store, and into words for httpd.conf. */
import { authorityThatBinds, defaultAuthority } from '../../config/authorities.ts';
import { storeAccount } from '../../domains/stored/kept-accounts.ts';
import { mdDocument } from '../../domains/stored/document.ts';
import { chainFile, heldSuffixes, keyFile } from '../../domains/stored/held.ts';
import { storedDomain } from '../../domains/stored/stored.ts';
import { keyFileSuffix, keyToPem } from '../../pki/keys.ts';
import { bareMd, encodeMd, readMd } from '../../store/documents.ts';
import { formatKeySpecs } from '../../store/formats.ts';
import type { Store } from '../../store/store.ts';
import type { FoundAccount } from './found.ts';
import type { PlannedDomain } from './plan.ts';

/** Why a domain is not to be written into the store, or undefined. */
export async function obstacle(
  store: Store,
  domain: PlannedDomain,
  force: boolean,
): Promise<string | undefined> {
  for (const other of await store.list('domains')) {
    const held = heldSuffixes(await store.aspects('domains', other)).length > 0;
    if (other === domain.name && held && !force) {
      return `${domain.name} has a certificate in the store already; --force replaces (and archives) it`;
    }
    if (other === domain.name || !held) continue;
    const names = (await readMd(store, 'domains', other))?.domains ?? [];
    const shared = domain.names.find((name) => names.includes(name));
    if (shared !== undefined)
      return `${shared} is a name of the managed domain ${other}, which has a certificate in the store`;
  }
  return undefined;
}

/** Keeps an account; gives its name in the store. */
export function keepAccount(store: Store, account: FoundAccount): Promise<string> {
  const { authority, url, key, contacts } = account;
  const document = { status: 'valid', url, 'ca-url': authority, contact: contacts };
  return storeAccount(store, { ...document, registration: { status: 'valid', contact: contacts } }, key);
}

/** Writes a domain's set as a whole; what was there is archived. */
export async function writeDomain(
  store: Store,
  domain: PlannedDomain,
  account: string | undefined,
): Promise<void> {
  const { name, names, pairs, authority, contacts } = domain;
  const urls = authority === undefined ? [] : [authority];
  const specs = pairs.map(({ spec }) => spec);
  const bare = { ...bareMd(name, names), contacts, ca: { urls, account }, privkey: formatKeySpecs(specs) };
  const document = mdDocument(storedDomain(bare), { state: 'complete', description: '' }, bare);
  const files = new Map<string, Buffer | string>([['md.json', encodeMd(document)]]);
  for (const { spec, key, chain } of pairs) {
    const suffix = keyFileSuffix(spec);
    files.set(keyFile(suffix), keyToPem(key));
    files.set(chainFile(suffix), chain);
  }
  await store.activate(name, files);
}

/** The lines that make httpd.conf manage a domain as it was managed before. */
export function configurationOf({ names, pairs, authority, contacts }: PlannedDomain): string {
  const keys = pairs.map(({ spec }) => (spec.type === 'RSA' ? rsa(spec.bits) : spec.name)).join(' ');
  const mail = contacts.find((contact) => contact.startsWith('mailto:'))?.slice('mailto:'.length);
  const binds = authority !== undefined && authorityThatBinds(authority) !== undefined;
  return [
    `<MDomain ${names.join(' ')}>`,
    ...(authority === undefined || authority === defaultAuthority
      ? []
      : [`  MDCertificateAuthority ${authority}`]),
    ...(binds
      ? ['  # An account of this CA is bound to your customer account: MDExternalAccountBinding']
      : []),
    ...(mail === undefined ? [] : [`  MDContactEmail ${mail}`]),
    ...(keys === 'RSA 2048' ? [] : [`  MDPrivateKeys ${keys}`]),
    '  MDCertificateAgreement accepted',
    '</MDomain>',
  ].join('\n');
}

function rsa(bits: number): string {
  return `RSA ${bits}`;
}
