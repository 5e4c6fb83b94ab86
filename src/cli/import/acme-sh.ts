/** acme.sh's folder (~/.acme.sh): NAME/, NAME_ecc/ with NAME.conf in it, and ca/SERVER/PATH/. */
import { join } from 'node:path';
import * as v from 'valibot';
import { knownDirectories } from '../../config/authorities.ts';
import { type Found, nothing, type Reader } from './found.ts';
import { addPair, assignments, folders, json, privateKey, telling, text } from './files.ts';

const account = v.object({ contact: v.optional(v.array(v.string()), () => []) });

export const readAcmeSh: Reader = async (folder) => {
  const found = nothing();
  for (const name of await folders(folder)) {
    const domain = name.replace(/_ecc$/, '');
    const conf = await text(folder, name, `${domain}.conf`);
    if (conf === undefined) continue;
    const [chain, key] = [join(folder, name, 'fullchain.cer'), join(folder, name, `${domain}.key`)];
    await addPair(found, { chain, key }, { authority: assignments(conf).get('Le_API') || undefined });
  }
  await readAccounts(found, join(folder, 'ca'), []);
  return found;
};

async function readAccounts(found: Found, folder: string, path: readonly string[]): Promise<void> {
  if (path.length > 6) return;
  for (const name of await folders(folder)) await readAccounts(found, join(folder, name), [...path, name]);
  const key = await text(folder, 'account.key');
  if (key === undefined) return;
  await telling(found, folder, async () => {
    const conf = assignments((await text(folder, 'ca.conf')) ?? '');
    const url = conf.get('ACCOUNT_URL');
    if (!url) throw new Error('there is no ACCOUNT_URL in ca.conf');
    const { contact: contacts } = (await json(account, folder, 'account.json')) ?? { contact: [] };
    found.accounts.push({ file: folder, authority: authorityOf(path), url, key: privateKey(key), contacts });
  });
}

/** Older versions had a folder for the host alone. */
function authorityOf(path: readonly string[]): string {
  const known = knownDirectories.find((directory) => new URL(directory).host === path[0]);
  return path.length === 1 && known !== undefined ? known : `https://${path.join('/')}`;
}
