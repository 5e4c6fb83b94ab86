/** lego's folder (.lego): certificates/NAME.{crt,key,json} and accounts/HOST/EMAIL/. */
import { join } from 'node:path';
import * as v from 'valibot';
import { knownDirectories } from '../../config/authorities.ts';
import { nothing, type Reader } from './found.ts';
import { addPair, files, folders, json, privateKey, telling, text } from './files.ts';

const resource = v.object({ certUrl: v.optional(v.string(), '') });

const account = v.object({
  registration: v.object({
    uri: v.string(),
    body: v.optional(v.object({ contact: v.optional(v.array(v.string()), () => []) }), {}),
  }),
});

export const readLego: Reader = async (folder, { authority }) => {
  const found = nothing();
  const dir = join(folder, 'certificates');
  for (const name of await files(dir)) {
    const base = /^(.+)(?<!\.issuer)\.crt$/.exec(name)?.[1];
    if (base === undefined) continue;
    await telling(found, join(dir, name), async () => {
      const known = await json(resource, dir, `${base}.json`);
      const of = authorityAt(URL.parse(known?.certUrl ?? '')?.host) ?? authority;
      await addPair(found, { chain: join(dir, name), key: join(dir, `${base}.key`) }, { authority: of });
    });
  }
  for (const host of await folders(folder, 'accounts')) {
    for (const email of await folders(folder, 'accounts', host)) {
      const below = join(folder, 'accounts', host, email);
      await telling(found, below, async () => {
        const known = await json(account, below, 'account.json');
        const key = await text(below, 'keys', `${email}.key`);
        if (!known || key === undefined) throw new Error('account.json or its key is missing');
        const { uri: url, body } = known.registration;
        const of = authorityAt(URL.parse(url)?.host) ?? authority;
        if (of === undefined) {
          throw new Error(`of the CA at ${host} the directory URL is not known: give it by --ca`);
        }
        found.accounts.push({
          file: below,
          authority: of,
          url,
          key: privateKey(key),
          contacts: body.contact,
        });
      });
    }
  }
  return found;
};

/** lego keeps no directory URLs: hosts of well-known CAs tell. */
function authorityAt(host: string | undefined): string | undefined {
  return knownDirectories.find((directory) => new URL(directory).host === host);
}
