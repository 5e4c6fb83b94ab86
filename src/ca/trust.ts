/**
 * The root of the local CA for people: printing it, and having this machine trust it. Needs no running server,
 * and makes no CA where there is none.
 */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { access, chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { explain, systemCode } from '../base/errors.ts';
import { CaError } from './errors.ts';

const run = promisify(execFile);

/** How one family of systems is told whom to trust. */
export interface TrustStore {
  /** What must be there for it to be this one. */
  readonly tool: string;
  /** Where the root is put, for those that read a folder. */
  readonly folder: string | undefined;
  /** Arguments of the tool; `file` is the root's. */
  readonly install: (file: string) => readonly string[];
  readonly uninstall: (file: string) => readonly string[];
}

const keychain = '/Library/Keychains/System.keychain';
export const systemStores: readonly TrustStore[] = [
  {
    tool: '/usr/sbin/update-ca-certificates',
    folder: '/usr/local/share/ca-certificates',
    install: () => [],
    // Without --fresh the link of a removed certificate stays.
    uninstall: () => ['--fresh'],
  },
  {
    tool: '/usr/bin/update-ca-trust',
    folder: '/etc/pki/ca-trust/source/anchors',
    install: () => ['extract'],
    uninstall: () => ['extract'],
  },
  {
    tool: '/usr/bin/security',
    folder: undefined,
    install: (file) => ['add-trusted-cert', '-d', '-r', 'trustRoot', '-k', keychain, file],
    uninstall: (file) => ['remove-trusted-cert', '-d', file],
  },
];

/** A trust store's tool that does not end is given up, ms. */
const TOOL_TIMEOUT = 60_000;

/**
 * PEM of the root of the CA in `dir`. Rejects with CaError: `ca-missing` (no CA there yet), `ca-garbage`, `ca-io`.
 */
export async function rootCertificate(dir: string): Promise<string> {
  return (await readRoot(dir)).toString();
}

/**
 * Has the system trust the root of the CA in `dir`. Gives a sentence on what was done. Rejects with CaError
 * `ca-trust` where that takes rights this process has not, or there is no trust store that it knows.
 */
export async function installRoot(dir: string, stores = systemStores): Promise<string> {
  const root = await readRoot(dir);
  const store = await findStore(dir, stores);
  const file = fileIn(store, dir, root);
  if (store.folder !== undefined) await attempt('install', () => place(file, root));
  await attempt('install', () => run(store.tool, store.install(file), { timeout: TOOL_TIMEOUT }));
  return `${root.subject} is trusted by this system now (${file}, ${store.tool}). ${others}`;
}

/** Undoes installRoot(); what isn't installed is no error. */
export async function uninstallRoot(dir: string, stores = systemStores): Promise<string> {
  const root = await readRoot(dir);
  const store = await findStore(dir, stores);
  const file = fileIn(store, dir, root);
  if (store.folder !== undefined) await attempt('uninstall', () => rm(file, { force: true }));
  await attempt('uninstall', () => run(store.tool, store.uninstall(file), { timeout: TOOL_TIMEOUT }));
  return `${root.subject} is no longer trusted by this system (${file}, ${store.tool}).`;
}

const others = 'Firefox has a store of its own; Node reads the system store with --use-system-ca.';

/** Named by fingerprint: several CAs may be trusted, and each finds its own again. */
function fileIn({ folder }: TrustStore, dir: string, root: X509Certificate): string {
  if (folder === undefined) return join(dir, 'root.pem');
  const print = root.fingerprint256.replaceAll(':', '').slice(0, 16).toLowerCase();
  return join(folder, `latchkey-${print}.crt`);
}

async function place(file: string, root: X509Certificate): Promise<void> {
  await writeFile(file, root.toString());
  // Whatever the umask: everybody verifies with it.
  await chmod(file, 0o644);
}

async function findStore(dir: string, stores: readonly TrustStore[]): Promise<TrustStore> {
  for (const store of stores) {
    if (await isThere(store.tool)) return store;
  }
  const tools = stores.map(({ tool }) => tool).join(', ');
  const remedy = `give ${join(dir, 'root.pem')} to your programs or your system's trust store yourself`;
  throw new CaError('ca-trust', `no trust store that is known here (looked for ${tools}): ${remedy}`);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function attempt(what: string, step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (cause) {
    const denied = ['EACCES', 'EPERM', 'EROFS'].includes(systemCode(cause) ?? '') || process.getuid?.() !== 0;
    const remedy = denied ? ' (it takes root: run it with sudo)' : '';
    const message = `the root can't be ${what}ed${remedy}: ${explain(cause).trim().slice(0, 500)}`;
    throw new CaError('ca-trust', message, { cause });
  }
}

async function readRoot(dir: string): Promise<X509Certificate> {
  const file = join(dir, 'root.pem');
  let pem: string;
  try {
    pem = await readFile(file, 'utf8');
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT') throw new CaError('ca-io', `${file} can't be read`, { cause });
    throw new CaError('ca-missing', `there is no local CA in ${dir} yet: it is made when it first starts`);
  }
  try {
    return new X509Certificate(pem);
  } catch {
    throw new CaError('ca-garbage', `${file} does not hold a certificate in PEM: restore it from a backup`);
  }
}
