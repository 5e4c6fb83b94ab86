/** What MDExternalAccountBinding names: `{"kid": …, "hmac": …}`. The HMAC key is a secret: no message quotes the file. */
import { readFileSync, statSync } from 'node:fs';
import * as v from 'valibot';
import type { ExternalAccount } from '../domains/settings.ts';
import { Refusal } from './directive.ts';

/** Far more than any key needs, bytes. */
const MAX_FILE = 64 * 1024;

const element = v.pipe(v.string(), v.nonEmpty());

/** Throws Refusal for a file that is not there, or has not both in it. */
export function externalAccountFrom(path: string): ExternalAccount {
  const json = readJson(path);
  const kid = v.safeParse(v.object({ kid: element }), json);
  if (!kid.success) throw lacks('kid', path);
  const hmac = v.safeParse(v.object({ hmac: element }), json);
  if (!hmac.success) throw lacks('hmac', path);
  return { kid: kid.output.kid, hmac: hmac.output.hmac };
}

function readJson(path: string): unknown {
  const stats = statSync(path, { throwIfNoEntry: false });
  // Who quotes a key ID and its key as one argument gets them not shown: the key is a secret.
  const shown = /\s/.test(path) ? 'its name has blanks; key ID and HMAC are two arguments' : path;
  if (!stats?.isFile()) throw refusal(`file not found: ${shown}`);
  try {
    if (stats.size <= MAX_FILE) return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // The parser's words quote the file.
  }
  throw refusal(`error reading JSON file ${path}`);
}

function lacks(name: string, path: string): Refusal {
  return refusal(`JSON does not contain '${name}' element in file ${path}`);
}

function refusal(problem: string): Refusal {
  return new Refusal(`MDExternalAccountBinding: ${problem}`);
}
