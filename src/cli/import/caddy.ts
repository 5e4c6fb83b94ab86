/** Caddy's data folder (CertMagic's file storage): certificates/ISSUER/NAME/NAME.{crt,key,json}, acme/ISSUER/users/. */
import { join } from 'node:path';
import * as v from 'valibot';
import { knownDirectories } from '../../config/authorities.ts';
import { nothing, type Reader } from './found.ts';
import { addPair, files, folders, json, privateKey, telling, text } from './files.ts';

const resource = v.object({
  issuer_data: v.fallback(v.optional(v.object({ ca: v.optional(v.string()) })), undefined),
});

const account = v.object({ location: v.string(), contact: v.optional(v.array(v.string()), () => []) });

export const readCaddy: Reader = async (folder, { authority }) => {
  const found = nothing();
  /** Issuer folders to directory URLs. */
  const authorities = new Map(knownDirectories.map((directory) => [issuerKey(directory), directory]));
  if (authority !== undefined) authorities.set(issuerKey(authority), authority);
  for (const issuer of await folders(folder, 'certificates')) {
    for (const name of await folders(folder, 'certificates', issuer)) {
      const dir = join(folder, 'certificates', issuer, name);
      await telling(found, dir, async () => {
        const ca = (await json(resource, dir, `${name}.json`))?.issuer_data?.ca;
        if (ca !== undefined) authorities.set(issuer, ca);
        const pair = { chain: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) };
        await addPair(found, pair, { authority: authorities.get(issuer) });
      });
    }
  }
  for (const issuer of await folders(folder, 'acme')) {
    for (const user of await folders(folder, 'acme', issuer, 'users')) {
      const dir = join(folder, 'acme', issuer, 'users', user);
      await telling(found, dir, async () => {
        const names = await files(dir);
        const of = (suffix: string) => names.find((name) => name.endsWith(suffix)) ?? suffix;
        const known = await json(account, dir, of('.json'));
        const key = await text(dir, of('.key'));
        if (!known || key === undefined) throw new Error('the account or its key is missing');
        const ca = authorities.get(issuer);
        if (ca === undefined) throw new Error(`of ${issuer} the directory URL is not known: give it by --ca`);
        const { location: url, contact: contacts } = known;
        found.accounts.push({ file: dir, authority: ca, url, key: privateKey(key), contacts });
      });
    }
  }
  return found;
};

/** How CertMagic calls an issuer: its directory URL as the name of a folder. */
function issuerKey(directory: string): string {
  const { host, pathname } = new URL(directory);
  return `${host}${pathname}`.toLowerCase().replace(/\/$/, '').replaceAll(/[/:]/g, '-');
}
