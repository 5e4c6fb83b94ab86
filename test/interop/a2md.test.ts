/** `latchkey a2md` with Pebble: accounts, and whole orders whose challenges a running server answers. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Certificate } from '../../src/pki/certificate.ts';
import { A2md, emptyStore } from '../../src/cli/a2md/a2md.testing.ts';
import { plain } from '../faults/faults.testing.ts';
import { freePorts, TestServer } from '../latchkey.testing.ts';
import { type Authority, startAuthority, withoutAuthority } from './authority.testing.ts';

const NAME = 'www.drive.test';

async function ready(t: TestContext): Promise<{ server: TestServer; authority: Authority; tool: A2md }> {
  const [http = 0, https = 0] = await freePorts(2);
  const server = new TestServer();
  t.after(() => server[Symbol.asyncDispose]());
  const authority = await startAuthority({ dir: server.dir, ports: { http, https } });
  t.after(() => authority[Symbol.asyncDispose]());
  server.write('htdocs/index.html', 'driven\n');
  server.configure(
    plain(http, `MDPortMap http:${http}`, 'MDRenewMode manual', `MDomain ${NAME}`, vhost(http, NAME)),
  );
  const options = ['-a', authority.directoryUrl, '-C', authority.caFile];
  return { server, authority, tool: new A2md(join(server.dir, 'md'), options) };
}

const vhost = (port: number, name: string) => `<VirtualHost *:${port}>\n  ServerName ${name}\n</VirtualHost>`;

const serialIn = (folder: string) =>
  new Certificate(readFileSync(join(folder, 'pubcert.pem'), 'utf8')).serial;

test('drive obtains, archives what was there, and leaves alone what is not due', async (t) => {
  if (withoutAuthority) return t.skip(withoutAuthority);
  const { server, authority, tool } = await ready(t);
  const [domains, archive] = [
    join(tool.dir, 'domains', NAME),
    (n: number) => join(tool.dir, 'archive', `${NAME}.${n}`),
  ];
  // The server's own md.json would name another CA.
  await server.start();
  await tool.one('store', 'update', NAME);

  const nobody = await tool.run('drive', NAME);
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /No contact information/);
  const before = await tool.one('update', NAME, 'contacts', 'admin@drive.test');
  const disagreed = await tool.run('drive', NAME);
  assert.equal(disagreed.code, 1);
  assert.match(disagreed.stderr, /the CA requires you to accept the terms-of-service as specified in /);
  await tool.one('update', NAME, 'agreement', 'accepted');
  await tool.one('update', NAME, 'ca', authority.directoryUrl, 'FOO');
  const unknown = await tool.run('drive', NAME);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /Unknown CA protocol/);
  await tool.one('update', NAME, 'ca', authority.directoryUrl, 'ACME');
  const strange = await tool.run('drive', '-c', 'dns-01', NAME);
  assert.match(strange.stderr, /None of the ACME challenge methods configured for this domain are suitable/);

  const driven = await tool.run('-v', 'drive', '-r', '-c', 'http-01', NAME);
  assert.equal(driven.code, 0, driven.stderr);
  assert.match(driven.stderr, /Setting up challenge http-01/);
  assert.deepEqual([(await tool.one('list', NAME)).state, (await tool.one('list', NAME)).renew], [2, false]);
  const first = serialIn(domains);
  const archived = JSON.parse(readFileSync(join(archive(1), 'md.json'), 'utf8')) as typeof before;
  assert.deepEqual([archived.domains, archived.contacts], [before.domains, before.contacts]);
  assert.ok(!existsSync(join(tool.dir, 'challenges', NAME)));
  assert.ok(!existsSync(join(tool.dir, 'staging', NAME)));

  const again = await tool.bare('drive', NAME);
  assert.equal(again.stdout, `${NAME}: complete.\n`);
  assert.equal(serialIn(domains), first);
  const forced = await tool.run('-v', 'drive', '--force', NAME);
  assert.equal(forced.code, 0, forced.stderr);
  assert.notEqual(serialIn(domains), first);
  assert.equal(serialIn(archive(2)), first);
  assert.equal(authority.orders(), 2);
});

test('drive uses the account that it is told to, and another one when that is deleted', async (t) => {
  if (withoutAuthority) return t.skip(withoutAuthority);
  const { server, tool } = await ready(t);
  await server.start();
  await tool.one('store', 'update', NAME);
  await tool.one('update', NAME, 'contacts', 'admin@drive.test');
  const made = await tool.bare(...tool.options, '-t', 'accepted', 'acme', 'newreg', 'admin@drive.test');
  const account = /^registered: (ACME-localhost-\d{4})\n$/.exec(made.stdout)?.[1] ?? made.stderr;
  await tool.one('update', NAME, 'account', account);
  // The terms were agreed to for the account.
  const driven = await tool.run('drive', NAME);
  assert.equal(driven.code, 0, driven.stderr);
  assert.equal((await tool.one('list', NAME)).ca['account'], account);
  const other = await tool.bare(...tool.options, '-t', 'accepted', 'acme', 'newreg', 'other@drive.test');
  const second = /^registered: (ACME-localhost-\d{4})\n$/.exec(other.stdout)?.[1] ?? other.stderr;
  assert.notEqual(second, account);
  await tool.one('update', NAME, 'account', second);
  const by = await tool.run('drive', '-f', NAME);
  assert.equal(by.code, 0, by.stderr);
  assert.equal((await tool.one('list', NAME)).ca['account'], second);
  assert.equal((await tool.run('acme', 'delreg', account)).code, 0);
  assert.equal((await tool.run('acme', 'delreg', second)).code, 0);
  await tool.one('update', NAME, 'agreement', 'accepted');
  const afresh = await tool.run('drive', '-f', NAME);
  assert.equal(afresh.code, 0, afresh.stderr);
});

test('a proxy that is not there refuses the connection, and garbage is none', async (t) => {
  const [port = 0] = await freePorts(1);
  const tool = await emptyStore(t, '-a', 'https://ca.example/directory', '-t', 'accepted');
  const refused = await tool.run('-p', `http://localhost:${port}`, 'acme', 'newreg', 'admin@example.org');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /Connection refused/);
  const garbage = await tool.run('-p', 'localhost', 'acme', 'newreg', 'admin@example.org');
  assert.deepEqual(garbage.json, { output: [], status: 22, description: 'Invalid argument' });
});

test('a CA that is not there refuses the connection', async (t) => {
  const [port = 0] = await freePorts(1);
  const tool = await emptyStore(t, '-a', `http://localhost:${port}/directory`);
  await tool.one('add', 'example.org');
  await tool.one('update', 'example.org', 'contacts', 'admin@example.org');
  for (const args of [
    ['drive', 'example.org'],
    ['-t', 'accepted', 'acme', 'newreg', 'admin@example.org'],
  ]) {
    const { code, json, stderr } = await tool.run(...args);
    assert.equal(code, 1);
    assert.deepEqual(json, { output: [], status: 111, description: 'Connection refused' });
    assert.match(stderr, /Connection refused/);
  }
});

test('accounts are registered, validated and deleted', async (t) => {
  if (withoutAuthority) return t.skip(withoutAuthority);
  const { authority } = await ready(t);
  const tool = await emptyStore(t, '-a', authority.directoryUrl, '-C', authority.caFile);
  const disagreed = await tool.run('acme', 'newreg', 'x@example.org');
  assert.equal(disagreed.code, 1);
  assert.match(disagreed.stderr, /must agree to terms of service/);
  for (const contact of ['mehlto:x@example.org', 'no.at.char', 'with blank@example.org', 'missing.host@']) {
    assert.equal((await tool.run('-t', 'accepted', 'acme', 'newreg', contact)).code, 1, contact);
  }
  const document = (account: string) => join(tool.dir, 'accounts', account, 'account.json');
  const newreg = async (...contacts: string[]) => {
    const { stdout } = await tool.bare(...tool.options, '-t', 'accepted', 'acme', 'newreg', ...contacts);
    const account = /^registered: (.*)\n$/.exec(stdout)?.[1] ?? '';
    const { registration } = JSON.parse(readFileSync(document(account), 'utf8')) as {
      registration: { contact: string[] };
    };
    return { account, contacts: registration.contact };
  };
  assert.deepEqual(await newreg('x@example.org'), {
    account: 'ACME-localhost-0000',
    contacts: ['mailto:x@example.org'],
  });
  const both = ['mailto:x@example.org', 'mailto:a@example.org'];
  const { account, contacts } = await newreg(...both);
  assert.equal(account, 'ACME-localhost-0001');
  assert.deepEqual(contacts, both);

  assert.equal((await tool.run('acme', 'validate', account)).code, 0);
  assert.equal((await tool.run('acme', 'validate', 'ACME-localhost-1000')).code, 1);
  const saved = readFileSync(document(account), 'utf8');
  const { url } = JSON.parse(saved) as { url: string };
  writeFileSync(document(account), saved.replace(url, `${url}0`));
  assert.equal((await tool.run('acme', 'validate', account)).code, 1);
  writeFileSync(document(account), saved);

  assert.equal((await tool.run('delreg', account)).code, 1);
  const deleted = await tool.bare('-C', authority.caFile, 'acme', 'delreg', account);
  assert.equal(deleted.stdout, `deleted: ${url}\n`);
  assert.ok(!existsSync(document(account)));
  assert.equal((await tool.run('acme', 'validate', account)).code, 1);
});
