/** `add`, `list`, `update`, and the `store` commands below them: md.json of managed domains, read and written. */
import { systemClock } from '../../base/clock.ts';
import { mdDocument } from '../../domains/stored/document.ts';
import { readHeld } from '../../domains/stored/held.ts';
import { assess } from '../../domains/state.ts';
import { storedDomain } from '../../domains/stored/stored.ts';
import { bareMd, type MdDocument, readMd, writeMd } from '../../store/documents.ts';
import type { Store } from '../../store/store.ts';
import { Failure } from './failure.ts';
import { agreement, authorityUrl, contactUrls, domainNames } from './values.ts';

/** A managed domain and whether it is due. */
export interface Registered {
  readonly md: MdDocument;
  readonly renew: boolean;
}

/** With the state that its files have now. @throws Failure `ENOENT` */
export async function find(store: Store, name: string): Promise<Registered> {
  const md = await findStored(store, name);
  const domain = storedDomain(md);
  const held = await readHeld(store, 'domains', name, domain.keys);
  const state = assess(domain, held, systemClock.now());
  const description = state.description || undefined;
  const judged = { ...md, state: state.state === 'complete' ? 2 : 1, 'state-descr': description };
  return { md: judged, renew: state.reasons.length > 0 };
}

/** As md.json has it. @throws Failure `ENOENT` */
export async function findStored(store: Store, name: string): Promise<MdDocument> {
  const md = await readMd(store, 'domains', name);
  if (md) return md;
  throw new Failure('ENOENT', `managed domain not found: ${name}`);
}

/** Names of all that have an md.json, sorted. */
export async function names(store: Store): Promise<string[]> {
  const found: string[] = [];
  for (const name of await store.list('domains')) {
    if ((await store.aspects('domains', name)).includes('md.json')) found.push(name);
  }
  return found;
}

/** Writes a new md.json without a look at the others. @throws Failure `EEXIST`, `EINVAL` */
export async function addStored(
  store: Store,
  args: readonly string[],
  authority: string | undefined,
  state = 0,
): Promise<MdDocument> {
  const domains = domainNames(args);
  const [name] = domains;
  if (name === undefined) throw new Failure('EINVAL', 'needs at least one domain name');
  if (await readMd(store, 'domains', name)) throw new Failure('EEXIST', `${name} is there already`);
  const authorities = authority === undefined ? [] : [authority];
  const domain = storedDomain({ ...bareMd(name, domains), ca: { urls: authorities } });
  const document = mdDocument(domain, { state: 'incomplete', description: '' }, undefined);
  await writeMd(store, 'domains', name, { ...document, state });
  return findStored(store, name);
}

/** Adds what overlaps with no other. @throws Failure */
export async function add(
  store: Store,
  args: readonly string[],
  authority: string | undefined,
): Promise<Registered> {
  const url = authority === undefined ? undefined : authorityUrl(authority);
  await refuseOverlap(store, domainNames(args), undefined);
  const { name } = await addStored(store, args, url, 1);
  return find(store, name);
}

/** `store remove`: with `force`, what isn't there is no error. @throws Failure `ENOENT` */
export async function remove(store: Store, name: string, force: boolean): Promise<void> {
  if (!(await store.list('domains')).includes(name)) {
    if (force) return;
    throw new Failure('ENOENT', `managed domain not found: ${name}`);
  }
  await store.purge('domains', name);
}

/** `store update`: domains and the CA, unchecked but for their form. @throws Failure */
export async function updateStored(
  store: Store,
  [name = '', aspect, ...values]: readonly string[],
  authority: string | undefined,
): Promise<MdDocument> {
  const md = await findStored(store, name);
  if (aspect !== undefined && aspect !== 'domains') throw unknownAspect(aspect);
  const domains = aspect === 'domains' ? atLeastOne(domainNames(values), 'domain name') : md.domains;
  await writeMd(store, 'domains', name, { ...withAuthority(md, authority), domains });
  return findStored(store, name);
}

/** `update NAME [ASPECT VALUE…]`. @throws Failure */
export async function update(
  store: Store,
  [name = '', aspect, ...values]: readonly string[],
  authority: string | undefined,
): Promise<Registered> {
  const md = withAuthority(await findStored(store, name), authority);
  const changed = aspect === undefined ? md : await change(store, md, aspect, values);
  await writeMd(store, 'domains', name, changed);
  return find(store, name);
}

async function change(
  store: Store,
  md: MdDocument,
  aspect: string,
  values: readonly string[],
): Promise<MdDocument> {
  const [first] = values;
  switch (aspect) {
    case 'domains': {
      const domains = atLeastOne(domainNames(values), 'domain name');
      await refuseOverlap(store, domains, md.name);
      return { ...md, domains };
    }
    case 'contacts':
      return { ...md, contacts: atLeastOne(contactUrls(values), 'contact') };
    case 'agreement':
      return { ...md, ca: { ...md.ca, agreement: first === undefined ? undefined : agreement(first) } };
    case 'account':
      return { ...md, ca: { ...md.ca, account: first } };
    case 'ca': {
      if (first === undefined) throw new Failure('EINVAL', 'usage: update NAME ca URL [PROTOCOL]');
      const changed = withAuthority(md, authorityUrl(first));
      return { ...changed, ca: { ...changed.ca, proto: values[1] ?? changed.ca.proto } };
    }
    default:
      throw unknownAspect(aspect);
  }
}

function withAuthority(md: MdDocument, url: string | undefined): MdDocument {
  if (url === undefined || url === md.ca.url) return md;
  return { ...md, ca: { ...md.ca, url, urls: [url] } };
}

async function refuseOverlap(
  store: Store,
  domains: readonly string[],
  own: string | undefined,
): Promise<void> {
  for (const other of await names(store)) {
    if (other === own) continue;
    const shared = (await findStored(store, other)).domains.find((name) => domains.includes(name));
    if (shared !== undefined)
      throw new Failure('EINVAL', `${shared} is a name of the managed domain ${other}`);
  }
}

function atLeastOne<Value>(values: readonly Value[], what: string): readonly Value[] {
  if (values.length > 0) return values;
  throw new Failure('EGENERAL', `needs at least 1 ${what} as parameter`);
}

function unknownAspect(aspect: string): Failure {
  return new Failure('ENOTIMPL', `unknown update aspect: ${aspect}`);
}
