/** One configuration and one store, served by Latchkey and by Apache with mod_md in turn. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { eventually, freePorts, missing, TestServer } from '../latchkey.testing.ts';
import { Apache, loadModules, withoutApache } from './apache.testing.ts';
import {
  directives,
  installed,
  startAuthority,
  withoutAuthority,
  type Authority,
  type Ports,
} from './authority.testing.ts';
import { handshake } from './clients.testing.ts';

const USER = 'www-data';
const name = 'store.test';

const skip =
  withoutAuthority ||
  withoutApache ||
  missing('openssl') ||
  (process.getuid?.() !== 0 && 'only root can start it for another User');

test('Apache serves what Latchkey obtained, and orders nothing', { skip }, async () => {
  await using stage = await setUp();
  const { server, authority, ports } = stage;
  await server.start();
  await installed(server, name);
  const serial = await serialOf(server);
  await server.stop();
  assert.equal(authority.orders(), 1);
  rmSync(join(server.dir, 'logs/error_log'));

  {
    await using apache = new Apache(server.dir);
    assert.equal(await eventually('Apache', () => serialShown(ports.https)), serial);
    await eventually('mod_md to have looked at the domain', () => apache.log().includes(NOTHING_TO_DO));
    assert.equal(authority.orders(), 1, apache.log());
  }

  await server.start();
  assert.equal(await serialShown(ports.https), serial, 'back at Latchkey');
  assert.equal(await serialOf(server), serial);
  assert.equal(authority.orders(), 1);
});

test('Latchkey serves what Apache obtained, and orders nothing', { skip }, async () => {
  await using stage = await setUp();
  const { server, authority, ports } = stage;
  const serial = await obtainedByApache(server, ports);
  assert.equal(authority.orders(), 1);

  await server.start();
  assert.equal(await serialShown(ports.https), serial);
  const planned = await eventually('a plan', async () => (await ours(server))?.nextRun);
  assert.ok(planned > Date.now() + 24 * 60 * 60 * 1000, 'the next renewal is far away');
  assert.equal(authority.orders(), 1);

  const { code, stdout, stderr } = await server.run('renew', name);
  assert.equal(code, 0, stdout + stderr);
  assert.notEqual(await serialShown(ports.https), serial);
  assert.equal(authority.orders(), 2);
  assert.equal(
    authority.log().match(/accounts in memory/g)?.length,
    1,
    'with the account that Apache had made',
  );
});

test('after renewals by both, each serves and archives what the other has renewed', { skip }, async () => {
  await using stage = await setUp();
  const { server, authority, ports } = stage;
  // The first one is what there was before any certificate.
  const archived = () => readdirSync(join(server.dir, 'md/archive')).length - 1;
  await server.start();
  await installed(server, name);
  assert.equal((await server.run('renew', name)).code, 0);
  const first = await serialOf(server);
  await server.stop();
  assert.deepEqual([authority.orders(), archived()], [2, 1]);

  // One more name makes Apache renew.
  server.configure(configuration(authority, ports).replace('ServerAlias', `ServerAlias more.${name}`));
  const second = await obtainedByApache(server, ports, first);
  assert.deepEqual([authority.orders(), archived()], [3, 2]);

  await server.start();
  assert.equal(await serialShown(ports.https), second, 'at Latchkey, what Apache has renewed');
  assert.equal((await server.run('renew', name)).code, 0);
  const third = await serialOf(server);
  assert.notEqual(third, second);
  await server.stop();
  assert.equal(archived(), 3);
  const kept = readFileSync(join(server.dir, `md/archive/${name}.4/pubcert.secp256r1.pem`), 'utf8');
  assert.equal(new X509Certificate(kept).serialNumber, second, 'the archived set is Apache’s');

  rmSync(join(server.dir, 'logs/error_log'));
  await using apache = new Apache(server.dir);
  assert.equal(await eventually('Apache', () => serialShown(ports.https)), third);
  await eventually('mod_md to have looked at the domain', () => apache.log().includes(NOTHING_TO_DO));
  assert.equal(authority.orders(), 4, apache.log());
  assert.equal(authority.log().match(/accounts in memory/g)?.length, 1, 'all with one account');
});

test('what belongs to User is User’s, and the rest is root’s', { skip }, async () => {
  const { uid, gid } = userOf(USER);
  await using stage = await setUp(`<MDomain down.test>
  MDRenewMode always
  MDCertificateAuthority https://127.0.0.1:1/directory
</MDomain>`);
  const { server } = stage;
  await server.start();
  await installed(server, name);
  await eventually('a failed order', () => existsSync(join(server.dir, 'md/staging/down.test/job.json')));

  const { engine, workers } = server.children();
  assert.deepEqual(idsOf(server.pid), { uids: [0], gids: [0] });
  assert.ok(engine.length === 1 && workers.length > 0);
  for (const pid of [...engine, ...workers]) assert.deepEqual(idsOf(pid), { uids: [uid], gids: [gid] });

  const store = join(server.dir, 'md');
  const owned = (path: string, owner: number, mode: number) => {
    const found = statSync(join(store, path));
    assert.deepEqual([path, found.uid, (found.mode & 0o777).toString(8)], [path, owner, mode.toString(8)]);
  };
  owned('md_store.json', 0, 0o600);
  owned('httpd.json', 0, 0o600);
  assert.deepEqual(JSON.parse(server.read('md/httpd.json')), { proto: { http: true, https: true } });
  for (const group of ['challenges', 'staging', 'ocsp']) owned(group, uid, 0o755);
  owned('staging/down.test', uid, 0o755);
  for (const file of readdirSync(join(store, 'staging/down.test')))
    owned(`staging/down.test/${file}`, uid, 0o644);
  for (const group of ['domains', 'archive']) owned(group, 0, 0o700);
  owned(`domains/${name}`, 0, 0o700);
  for (const file of readdirSync(join(store, 'domains', name))) owned(`domains/${name}/${file}`, 0, 0o600);
  const [account = ''] = readdirSync(join(store, 'accounts'));
  owned(`accounts/${account}`, 0, 0o755);
  owned(`accounts/${account}/account.pem`, 0, 0o644);

  const runtime = statSync(dirname(server.read('logs/httpd.pid.control').trim()));
  assert.deepEqual([runtime.uid, (runtime.mode & 0o777).toString(8)], [uid, '700'], 'the certificate table');
});

/** What mod_md logs at the end of a round in which nothing was due. */
const NOTHING_TO_DO = 'AH10107: next run';

/** Has Apache get a certificate and put it to use, instead of the one there was; gives its serial. */
async function obtainedByApache(server: TestServer, ports: Ports, before?: string): Promise<string> {
  rmSync(join(server.dir, 'logs/error_log'), { force: true });
  await using apache = new Apache(server.dir);
  await eventually('mod_md to order', () =>
    /changes will be activated on next[^]*AH10107/.test(apache.log()),
  );
  apache.graceful();
  // Awaited here: Apache ends with this function.
  return await eventually('Apache to serve it', async () => {
    const serial = await serialShown(ports.https);
    return serial !== before && serial;
  });
}

/** A server, not started, with Pebble as its authority; `more` is added to its configuration. */
async function setUp(more = '') {
  const [http = 0, https = 0] = await freePorts(2);
  const ports = { http, https };
  const server = new TestServer();
  const authority = await startAuthority({ dir: server.dir, ports });
  server.write('htdocs/index.html', 'hello\n');
  server.configure(configuration(authority, ports) + more);
  return {
    server,
    authority,
    ports,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await authority[Symbol.asyncDispose]();
    },
  };
}

const configuration = (authority: Authority, ports: Ports) => `
${loadModules}
ServerName ${name}
User ${USER}
Group ${USER}
PidFile logs/httpd.pid
ErrorLog logs/error_log
LogLevel warn md:debug
Listen 127.0.0.1:${ports.http}
Listen 127.0.0.1:${ports.https}
DocumentRoot htdocs
${directives(authority, ports)}
MDomain ${name} www.${name}
<VirtualHost *:${ports.https}>
  ServerName ${name}
  ServerAlias www.${name}
  SSLEngine on
</VirtualHost>
`;

async function ours(server: TestServer) {
  return (await server.status()).domains.find((domain) => domain.name === name);
}

async function serialOf(server: TestServer): Promise<string | undefined> {
  return (await ours(server))?.certificates[0]?.serial;
}

/** Undefined while there is none but a stopgap. */
async function serialShown(port: number): Promise<string | undefined> {
  const { chain } = await handshake(port, { name });
  return chain.length > 1 ? chain[0]?.serialNumber : undefined;
}

function userOf(user: string): { uid: number; gid: number } {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${user}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

/** Real, effective, saved and file system ids, and groups: each once. */
function idsOf(pid: number): { uids: number[]; gids: number[] } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const numbers = (field: string) =>
    new RegExp(`^${field}:(.*)$`, 'm').exec(status)?.[1]?.trim().split(/\s+/).filter(Boolean).map(Number) ??
    [];
  return {
    uids: [...new Set(numbers('Uid'))],
    gids: [...new Set([...numbers('Gid'), ...numbers('Groups')])],
  };
}
