/** Reading other programs' folders: bounded, what is missing is undefined, what can't be read is told. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { explain } from '../../base/errors.ts';
import { PkiError } from '../../pki/errors.ts';
import { keyFromPem } from '../../pki/keys.ts';
import { ignoring, readBounded } from '../../store/fs/disk.ts';
import { systemDisk } from '../../store/fs/system-disk.ts';
import type { Found } from './found.ts';

/** Text of a regular file of at most 1 MiB (links are followed); undefined where there is none. */
export async function text(...path: readonly string[]): Promise<string | undefined> {
  const bytes = await ignoring(
    ['ENOENT', 'ENOTDIR'],
    readBounded(systemDisk, join(...path), { links: true }),
  );
  return bytes?.toString('utf8');
}

/** A JSON document of the given shape; undefined where there is none. @throws with what is wrong with it */
export async function json<Schema extends v.GenericSchema>(
  schema: Schema,
  ...path: readonly string[]
): Promise<v.InferOutput<Schema> | undefined> {
  const found = await text(...path);
  return found === undefined ? undefined : v.parse(v.pipe(v.string(), v.parseJson(), schema), found);
}

/** Names of the folders in a folder, sorted; none where there is no such folder. */
export async function folders(...path: readonly string[]): Promise<string[]> {
  return namesOf(path, (entry) => entry.isDirectory() || entry.isSymbolicLink());
}

/** Names of the files in a folder, sorted. */
export async function files(...path: readonly string[]): Promise<string[]> {
  return namesOf(path, (entry) => !entry.isDirectory());
}

async function namesOf(path: readonly string[], which: (entry: Dirent) => boolean): Promise<string[]> {
  const entries = await ignoring(['ENOENT', 'ENOTDIR'], readdir(join(...path), { withFileTypes: true }));
  return (entries ?? [])
    .filter(which)
    .map(({ name }) => name)
    .sort();
}

/** Adds a certificate with its key, or says which of the two files is missing. */
export async function addPair(
  found: Found,
  { chain, key }: { readonly chain: string; readonly key: string },
  more: { readonly authority?: string | undefined; readonly contacts?: readonly string[] | undefined } = {},
): Promise<void> {
  await telling(found, chain, async () => {
    const [certificate, privateKey] = [await text(chain), await text(key)];
    if (certificate === undefined) return;
    if (privateKey === undefined) found.problems.push(`${chain}: there is no private key ${key}`);
    else found.certificates.push({ file: chain, chain: certificate, key: privateKey, ...more });
  });
}

/** Runs `task`; what it throws is a problem with `file`. */
export async function telling(found: Found, file: string, task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    found.problems.push(`${file}: ${explain(error)}`);
  }
}

/** A private key as PEM or as a JWK. @throws PkiError, which shows nothing of it */
export function privateKey(source: string): KeyObject {
  if (!source.trimStart().startsWith('{')) return keyFromPem(source);
  const jwk = v.safeParse(v.pipe(v.string(), v.parseJson(), v.record(v.string(), v.string())), source);
  try {
    if (jwk.success) return createPrivateKey({ key: jwk.output, format: 'jwk' });
  } catch {
    // Said below: the reason may show parts of the key.
  }
  throw new PkiError('key-unreadable', 'This is not a private key in JWK format');
}

/** `KEY = value`, `KEY=value` and `KEY='value'` lines, as certbot and acme.sh write them; of a repeated key the last. */
export function assignments(source: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of source.split(/\r?\n/)) {
    const match = /^\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line);
    if (!match) continue;
    const [, key = '', value = ''] = match;
    found.set(key, value.replace(/^(['"])(.*)\1$/, '$2'));
  }
  return found;
}
