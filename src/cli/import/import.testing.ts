/** Folders as the other programs lay them out, with certificates of an unknown CA. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { makePair, type Made } from '../../domains/domains.testing.ts';
import { keyToPem } from '../../pki/keys.ts';

export const LETSENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';
export const ACCOUNT_URL = 'https://acme-v02.api.letsencrypt.org/acme/acct/1234';

export class Folder {
  readonly dir: string;

  constructor(t: TestContext) {
    this.dir = mkdtempSync(join(tmpdir(), 'latchkey-import-'));
    t.after(() => rmSync(this.dir, { recursive: true, force: true }));
  }

  write(path: string, content: string): void {
    mkdirSync(dirname(join(this.dir, path)), { recursive: true });
    writeFileSync(join(this.dir, path), content);
  }

  link(path: string, target: string): void {
    mkdirSync(dirname(join(this.dir, path)), { recursive: true });
    symlinkSync(target, join(this.dir, path));
  }
}

/** Valid from yesterday on, for 90 days, unless `made` says otherwise. */
export async function pair(
  made: Made,
): Promise<{ readonly chain: string; readonly key: string; readonly object: KeyObject }> {
  const notBefore = made.notBefore ?? Date.now() - 86_400_000;
  const { pem, key } = await makePair({ notBefore, ...made });
  return { chain: pem, key: keyToPem(key), object: key };
}

export function rsaKey(): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
}

export async function certbotFolder(folder: Folder, account: KeyObject): Promise<void> {
  const { chain, key } = await pair({ names: ['b.example.org', 'www.b.example.org'] });
  for (const [name, content] of [
    ['fullchain', chain],
    ['privkey', key],
  ] as const) {
    folder.write(`archive/b.example.org/${name}1.pem`, content);
    folder.link(`live/b.example.org/${name}.pem`, `../../archive/b.example.org/${name}1.pem`);
  }
  folder.write('live/README', 'This directory contains your keys and certificates.\n');
  folder.write(
    'renewal/b.example.org.conf',
    `# renew_before_expiry = 30 days\nversion = 2.1.0\n[renewalparams]\naccount = 0123\nserver = ${LETSENCRYPT}\n`,
  );
  const id = 'accounts/acme-v02.api.letsencrypt.org/directory/0123';
  folder.write(`${id}/regr.json`, JSON.stringify({ body: {}, uri: ACCOUNT_URL }));
  folder.write(`${id}/meta.json`, '{"creation_host": "localhost"}');
  folder.write(`${id}/private_key.json`, JSON.stringify(account.export({ format: 'jwk' })));
}

export async function acmeShFolder(folder: Folder, account: KeyObject): Promise<void> {
  const key = rsaKey();
  const rsa = await pair({ names: ['s.example.org'], key });
  const ec = await pair({ names: ['s.example.org'] });
  for (const [dir, made] of [
    ['s.example.org', rsa],
    ['s.example.org_ecc', ec],
  ] as const) {
    folder.write(`${dir}/s.example.org.conf`, `Le_Domain='s.example.org'\nLe_API='${LETSENCRYPT}'\n`);
    folder.write(`${dir}/fullchain.cer`, made.chain);
    folder.write(`${dir}/s.example.org.key`, made.key);
  }
  const ca = 'ca/acme-v02.api.letsencrypt.org/directory';
  folder.write(`${ca}/account.key`, keyToPem(account));
  folder.write(`${ca}/account.json`, '{"status":"valid","contact":["mailto:s@example.org"]}');
  folder.write(`${ca}/ca.conf`, `ACCOUNT_URL='${ACCOUNT_URL}'\nCA_KEY_HASH='x'\n`);
  folder.write('account.conf', "ACCOUNT_EMAIL='s@example.org'\n");
}

export async function legoFolder(folder: Folder, account: KeyObject): Promise<void> {
  const { chain, key } = await pair({ names: ['l.example.org', '*.l.example.org'] });
  folder.write('certificates/l.example.org.crt', chain);
  folder.write('certificates/l.example.org.issuer.crt', chain);
  folder.write('certificates/l.example.org.key', key);
  const certUrl = 'https://acme-v02.api.letsencrypt.org/acme/cert/01';
  folder.write('certificates/l.example.org.json', JSON.stringify({ domain: 'l.example.org', certUrl }));
  const user = 'accounts/acme-v02.api.letsencrypt.org/l@example.org';
  const registration = { uri: ACCOUNT_URL, body: { status: 'valid', contact: ['mailto:l@example.org'] } };
  folder.write(`${user}/account.json`, JSON.stringify({ email: 'l@example.org', registration }));
  folder.write(`${user}/keys/l@example.org.key`, keyToPem(account));
}

export async function caddyFolder(folder: Folder, account: KeyObject): Promise<void> {
  const issuer = 'acme-v02.api.letsencrypt.org-directory';
  const { chain, key } = await pair({ names: ['c.example.org'] });
  const base = `certificates/${issuer}/c.example.org/c.example.org`;
  folder.write(`${base}.crt`, chain);
  folder.write(`${base}.key`, key);
  const issuer_data = { url: 'https://acme-v02.api.letsencrypt.org/acme/cert/02', ca: LETSENCRYPT };
  folder.write(`${base}.json`, JSON.stringify({ sans: ['c.example.org'], issuer_data }));
  const user = `acme/${issuer}/users/c@example.org/c`;
  folder.write(
    `${user}.json`,
    JSON.stringify({ status: 'valid', contact: ['mailto:c@example.org'], location: ACCOUNT_URL }),
  );
  folder.write(`${user}.key`, keyToPem(account));
}
