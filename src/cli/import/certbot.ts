/** certbot's folder (/etc/letsencrypt): live/, renewal/ and accounts/ SERVER / PATH / ID. */
import { join } from 'node:path';
import * as v from 'valibot';
import { type Found, nothing, type Reader } from './found.ts';
import { addPair, assignments, folders, json, privateKey, telling, text } from './files.ts';

const registration = v.object({
  uri: v.string(),
  body: v.optional(v.object({ contact: v.optional(v.array(v.string()), () => []) }), {}),
});

export const readCertbot: Reader = async (folder) => {
  const found = nothing();
  for (const name of await folders(folder, 'live')) {
    const [chain, key] = [
      join(folder, 'live', name, 'fullchain.pem'),
      join(folder, 'live', name, 'privkey.pem'),
    ];
    const renewal = assignments((await text(folder, 'renewal', `${name}.conf`)) ?? '');
    await addPair(found, { chain, key }, { authority: renewal.get('server') });
  }
  await readAccounts(found, join(folder, 'accounts'), []);
  return found;
};

/** The folders above an account are its CA's directory URL, less `https://`. */
async function readAccounts(found: Found, folder: string, path: readonly string[]): Promise<void> {
  // Deeper than any directory URL there is.
  if (path.length > 6) return;
  for (const name of await folders(folder)) {
    const below = join(folder, name);
    const key = await text(below, 'private_key.json');
    if (key === undefined) await readAccounts(found, below, [...path, name]);
    else {
      await telling(found, below, async () => {
        const known = await json(registration, below, 'regr.json');
        if (!known) throw new Error('there is no regr.json, which has the URL of the account');
        const { contact: contacts } = known.body;
        const authority = `https://${path.join('/')}`;
        found.accounts.push({ file: below, authority, url: known.uri, key: privateKey(key), contacts });
      });
    }
  }
}
