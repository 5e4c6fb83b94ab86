/** `latchkey import`: certificates, keys and accounts of other programs, so that a migration orders nothing anew. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { LatchkeyError, explain } from '../../base/errors.ts';
import { escapeControls } from '../../base/log.ts';
import { loadConfiguration } from '../../config/load.ts';
import { FsStore } from '../../store/fs/fs-store.ts';
import { MemoryStore } from '../../store/memory.ts';
import { type Store, StoreError } from '../../store/store.ts';
import { openStore } from '../open-store.ts';
import type { Where } from '../where.ts';
import { readAcmeSh } from './acme-sh.ts';
import { configurationOf, keepAccount, obstacle, writeDomain } from './apply.ts';
import { readCaddy } from './caddy.ts';
import { readCertbot } from './certbot.ts';
import { files, folders } from './files.ts';
import type { Reader } from './found.ts';
import { readLego } from './lego.ts';
import { readPem } from './pem.ts';
import { type ImportPlan, planImport } from './plan.ts';

export const readers: Readonly<Record<string, Reader>> = {
  certbot: readCertbot,
  'acme.sh': readAcmeSh,
  lego: readLego,
  caddy: readCaddy,
  pem: readPem,
};

export interface ImportOptions {
  /** Whose folder it is, one of `readers`; default: found out. */
  readonly from?: string;
  /** The store's folder; default: the configuration's. */
  readonly store?: string;
  /** Directory URL of the CA where the folder does not tell. */
  readonly ca?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

/** Exit code 1 where something was found that can't be taken over, or nothing was found. */
export async function importFrom(path: string, options: ImportOptions, where: Where): Promise<void> {
  const source = resolve(path);
  const kind = options.from ?? (await kindOf(source));
  const read = readers[kind];
  if (!read) throw new LatchkeyError('usage', `--from ${kind}: there are ${Object.keys(readers).join(', ')}`);
  const plan = planImport(await read(source, { authority: options.ca }), systemClock.now());
  const dir = resolve(options.store ?? loadConfiguration(where).settings.md.storeDir);
  const store = options.dryRun ? await forLooking(dir) : await openStore(dir);
  say(`${options.dryRun ? 'Would import' : 'Importing'} from ${source} (${kind}) into the store ${dir}`);
  const problems = [...plan.problems, ...(await apply(store, plan, options))];
  for (const problem of problems) process.stderr.write(`not imported: ${escapeControls(problem)}\n`);
  if (plan.domains.length === 0)
    process.stderr.write(
      `there is no certificate to import in ${source}: neither a PEM file with its key nor a folder of ${Object.keys(readers).slice(0, -1).join(', ')}\n`,
    );
  if (problems.length > 0 || plan.domains.length === 0) process.exitCode = 1;
}

async function apply(store: Store, plan: ImportPlan, options: ImportOptions): Promise<string[]> {
  const problems: string[] = [];
  /** By CA. */
  const accounts = new Map<string, string>();
  for (const account of plan.accounts) {
    const name = options.dryRun ? '' : ` as ${await keepAccount(store, account)}`;
    say(`account ${account.url} of ${account.authority}${name}`);
    accounts.set(account.authority, name.replace(' as ', ''));
  }
  const lines: string[] = [];
  for (const domain of plan.domains) {
    const reason = await obstacle(store, domain, options.force === true);
    if (reason !== undefined) {
      problems.push(reason);
      continue;
    }
    if (!options.dryRun) await writeDomain(store, domain, accounts.get(domain.authority ?? '') || undefined);
    for (const { file, leaf, spec } of domain.pairs) {
      const until = new Date(leaf.notAfter).toUTCString();
      say(`certificate of ${domain.name} (${spec.type}), valid until ${until}: ${file}`);
    }
    lines.push(configurationOf(domain));
  }
  if (lines.length > 0) say(`\nAdd to the configuration:\n\n${lines.join('\n')}`);
  return problems;
}

/** Nothing is made for a dry run, not even a store. */
async function forLooking(dir: string): Promise<Store> {
  try {
    return await FsStore.open({ dir, readOnly: true });
  } catch (error) {
    if (error instanceof StoreError && error.code === 'store-missing') return new MemoryStore();
    throw error;
  }
}

/** Whose folder it is, by what only that program has. */
async function kindOf(source: string): Promise<string> {
  const found = await stat(source).catch((error: unknown) => {
    throw new LatchkeyError('usage', `${source} can't be read: ${explain(error)}`, { cause: error });
  });
  if (!found.isDirectory()) return 'pem';
  const inside = await folders(source);
  if (inside.includes('live') && inside.includes('renewal')) return 'certbot';
  if (inside.includes('certificates')) {
    const isLego = (await files(source, 'certificates')).some((name) => name.endsWith('.crt'));
    return isLego ? 'lego' : 'caddy';
  }
  const isOf = async (name: string) =>
    (await files(join(source, name))).includes(`${name.replace(/_ecc$/, '')}.conf`);
  for (const name of inside) if (await isOf(name)) return 'acme.sh';
  return 'pem';
}

function say(text: string): void {
  process.stdout.write(`${text.split('\n').map(escapeControls).join('\n')}\n`);
}
