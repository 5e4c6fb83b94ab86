/**
 * External account binding (RFC 8555 section 7.3.4). The CA has one credential, made on first demand and kept in
 * `external-account.json` of its folder (0600): `{"kid": …, "hmac": …}`, as MDExternalAccountBinding reads it.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { createDurable } from '../base/durable.ts';
import { systemCode } from '../base/errors.ts';
import { CaError } from './errors.ts';

const EXTERNAL_ACCOUNT_FILE = 'external-account.json';

const schema = v.object({
  kid: v.pipe(v.string(), v.nonEmpty()),
  /** base64url, 256 bits or more. */
  hmac: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43,}$/)),
});
export type ExternalAccount = v.InferOutput<typeof schema>;

/** The credential, made if there is none. Rejects with CaError. */
export async function externalAccount(dir: string): Promise<ExternalAccount> {
  const made = { kid: randomBytes(8).toString('hex'), hmac: randomBytes(32).toString('base64url') };
  const file = join(dir, EXTERNAL_ACCOUNT_FILE);
  const known = await loadExternalAccount(dir);
  if (known) return known;
  await createDurable(file, `${JSON.stringify(made, undefined, 2)}\n`, { mode: 0o600 });
  return (await loadExternalAccount(dir)) ?? made;
}

/** The credential, or undefined where none was made yet. */
export async function loadExternalAccount(dir: string): Promise<ExternalAccount | undefined> {
  const file = join(dir, EXTERNAL_ACCOUNT_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return undefined;
    throw new CaError('ca-io', `${file} can't be read`, { cause });
  }
  try {
    return v.parse(schema, JSON.parse(text));
  } catch {
    // Without cause: it could quote the key.
    const message = `${file} holds no external account: remove it to have a new one made`;
    throw new CaError('ca-garbage', message);
  }
}
