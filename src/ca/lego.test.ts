import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { startCa } from './ca.testing.ts';
import type { TestCa } from './ca.testing.ts';
import { externalAccount } from './external.ts';
import { freePort } from '../base/ports.testing.ts';

const run = promisify(execFile);
const there = spawnSync('lego', ['--version']).error === undefined;

/** Runs lego against the CA. */
async function lego(ca: TestCa, ...args: string[]): Promise<string> {
  const root = join(ca.dir, 'root.pem');
  const own = [
    '--server',
    ca.directoryUrl,
    '--email',
    'x@example.org',
    '--path',
    join(ca.dir, 'lego'),
    '--accept-tos',
  ];
  const env = { ...process.env, LEGO_CA_CERTIFICATES: root };
  return (await run('lego', [...own, ...args], { env })).stderr;
}

async function verify(ca: TestCa, name: string, file = name): Promise<string> {
  const chain = join(ca.dir, 'lego', 'certificates', `${file}.crt`);
  const files = ['-CAfile', join(ca.dir, 'root.pem'), '-untrusted', chain, chain];
  const { stdout } = await run('openssl', ['verify', '-x509_strict', '-verify_hostname', name, ...files]);
  return stdout;
}

function needsLego(t: TestContext): boolean {
  if (!there) t.skip('lego is not installed');
  return there;
}

test('lego obtains two names by http-01, and revokes', async (t) => {
  if (!needsLego(t)) return;
  const port = await freePort();
  const ca = await startCa(t, { httpPort: port });
  const how = ['--http', '--http.port', `127.0.0.1:${port}`, '--key-type', 'ec384'];
  await lego(ca, '--domains', 'a.localhost', '--domains', 'b.a.localhost', ...how, 'run');
  assert.match(await verify(ca, 'b.a.localhost', 'a.localhost'), /: OK\n$/);
  const chain = join(ca.dir, 'lego', 'certificates', 'a.localhost.crt');
  const kept = join(ca.dir, 'revoked.pem');
  await copyFile(chain, kept);
  const reason = ['revoke', '--reason', '4'];
  assert.match(await lego(ca, '--domains', 'a.localhost', ...reason), /Certificate was revoked/);
  const url = `${ca.base.replace('https:', 'http:')}/ocsp`;
  const [issuer, root] = ['intermediate.pem', 'root.pem'].map((name) => join(ca.dir, name));
  const question = ['-issuer', issuer ?? '', '-CAfile', root ?? '', '-cert', kept, '-url', url];
  const { stdout, stderr } = await run('openssl', ['ocsp', ...question]);
  assert.match(stderr, /Response verify OK/);
  assert.match(stdout, /: revoked\n[^]*Reason: superseded/);
});

test('lego obtains and renews by tls-alpn-01', async (t) => {
  if (!needsLego(t)) return;
  const port = await freePort();
  const ca = await startCa(t, { tlsPort: port });
  const how = [
    '--domains',
    'a.localhost',
    '--tls',
    '--tls.port',
    `127.0.0.1:${port}`,
    '--key-type',
    'rsa2048',
  ];
  await lego(ca, ...how, 'run');
  await lego(ca, ...how, 'renew', '--days', '90', '--no-random-sleep');
  assert.match(await verify(ca, 'a.localhost'), /: OK\n$/);
});

test('lego is told why a name can not be validated', async (t) => {
  if (!needsLego(t)) return;
  const ca = await startCa(t, { httpPort: 1 });
  const how = ['--http', '--http.port', `127.0.0.1:${await freePort()}`];
  await assert.rejects(
    lego(ca, '--domains', 'a.localhost', ...how, 'run'),
    /acme:error:connection :: a\.localhost can not be reached: 127\.0\.0\.1:1: connection refused/,
  );
});

test('lego binds its account to the external account', async (t) => {
  if (!needsLego(t)) return;
  const port = await freePort();
  const ca = await startCa(t, { httpPort: port, externalAccountRequired: true });
  const { kid, hmac } = await externalAccount(ca.dir);
  const how = ['--domains', 'a.localhost', '--http', '--http.port', `127.0.0.1:${port}`];
  await assert.rejects(lego(ca, ...how, 'run'), /external account/i);
  await lego(ca, ...how, '--eab', '--kid', kid, '--hmac', hmac, 'run');
  assert.match(await verify(ca, 'a.localhost'), /: OK\n$/);
});
