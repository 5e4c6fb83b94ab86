/** Whatever is renewed, reloaded or killed: no request fails, no download breaks, no process is replaced in vain. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, freePorts, signal, TestServer } from '../latchkey.testing.ts';
import { directives, installed, startAuthority, withoutAuthority } from './authority.testing.ts';
import { Download, Traffic, type FreshConnection, type Target } from './traffic.testing.ts';

const name = 'live.test';
const WORKERS = 2;
/** At Download's pace it takes longer than any of these tests. */
const LARGE = 48 * 1024 * 1024;

test('a server under load', { skip: withoutAuthority }, async (t) => {
  const [http = 0, https = 0] = await freePorts(2);
  const ports = { http, https };
  await using server = new TestServer();
  await using authority = await startAuthority({ dir: server.dir, ports });
  const large = randomBytes(LARGE);
  server.write('www/index.html', 'hello\n');
  writeFileSync(join(server.dir, 'www/large.bin'), large);
  server.configure(`
Workers ${WORKERS}
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https}
TLSEngine ${https}
Protocols h2 http/1.1
MaxKeepAliveRequests 0
KeepAliveTimeout 300
CustomLog logs/workers_log "%P %{remote}p"
${directives(authority, ports)}
MDomain ${name}
<VirtualHost *>
  ServerName ${name}
  DocumentRoot www
  <Location />
    Require all granted
  </Location>
</VirtualHost>`);
  await server.start();
  await installed(server, name);
  const target = { port: https, name, ca: readFileSync(authority.rootFile, 'utf8'), path: '/' };
  const sha256 = createHash('sha256').update(large).digest('hex');

  await t.test('renews at once and everywhere', () =>
    underLoad(server, target, sha256, async (traffic) => {
      const before = await serialOf(server);
      const { engine, workers } = server.children();
      const serial = await renew(server, traffic);
      assert.notEqual(serial, before);
      assert.equal(authority.orders(), 2);
      assert.deepEqual(server.children(), { engine, workers }, 'the processes are the same');
    }),
  );

  await t.test('reloads twenty times', () =>
    underLoad(server, target, sha256, async (traffic) => {
      const { engine, workers } = server.children();
      for (let times = 1; times <= 20; times++) {
        const { code, stderr } = await server.run('-k', 'graceful');
        assert.equal(code, 0, stderr);
        await eventually(`reload ${times}`, () =>
          server.log().includes(`reloaded, generation ${times + 1} `),
        );
      }
      await traffic.more(50);
      assert.deepEqual(server.children(), { engine, workers }, 'the processes are the same');
      assert.equal(authority.orders(), 2, 'nothing was ordered');
    }),
  );

  await t.test('loses its engine, gets another, and renews', () =>
    underLoad(server, target, sha256, async (traffic) => {
      const before = await serialOf(server);
      const { engine, workers } = server.children();
      for (const pid of engine) signal(pid, 'SIGKILL');
      await traffic.more(50);
      const serial = await eventually('a new engine', () => serialOf(server));
      assert.equal(serial, before);
      const now = server.children();
      assert.equal(now.engine.length, 1);
      assert.notDeepEqual(now.engine, engine);
      assert.deepEqual(now.workers, workers, 'the workers are the same');
      assert.notEqual(await renew(server, traffic), before);
    }),
  );
});

/** Does `act` while clients and a download go on; the supervisor stays whatever it is. */
async function underLoad(
  server: TestServer,
  target: Target,
  sha256: string,
  act: (traffic: Traffic) => Promise<void>,
): Promise<void> {
  const { pid } = server;
  const download = new Download({ ...target, path: '/large.bin' });
  await using traffic = new Traffic(target);
  await traffic.more(50);
  await act(traffic);
  await traffic.more(50);
  const received = download.received;
  assert.ok(received > 0 && received < LARGE, `the download was under way: ${received}`);
  assert.equal(await download.finish(), sha256, 'the download is whole');
  assert.deepEqual(traffic.failures, []);
  assert.equal(server.pid, pid);
}

/** `latchkey renew`; gives the serial that every worker shows afterwards. */
async function renew(server: TestServer, traffic: Traffic): Promise<string> {
  const { code, stdout, stderr } = await server.run('renew', name);
  assert.equal(code, 0, stdout + stderr);
  const serial = /^served: serial ([0-9A-F]+)/m.exec(stdout)?.[1] ?? '';
  assert.equal(serial, await serialOf(server));
  // What was opened before this moment may be answered after it.
  await traffic.more(0);
  const since = traffic.fresh.length;
  await eventually('the new certificate in every worker', () => {
    const fresh = traffic.fresh.slice(since);
    for (const shown of fresh)
      assert.equal(shown.serial, serial, 'nothing else is shown after `latchkey renew`');
    return workersOf(server, fresh).size === WORKERS;
  });
  return serial;
}

/** Workers that answered on these connections, by the log. */
function workersOf(server: TestServer, connections: readonly FreshConnection[]): Set<string> {
  const lines = server.read('logs/workers_log').split('\n');
  const workers = new Map(lines.map((line) => line.split(' ').reverse() as [string, string]));
  return new Set(
    connections.map(({ localPort }) => workers.get(`${localPort}`)).filter((pid) => pid !== undefined),
  );
}

async function serialOf(server: TestServer): Promise<string | undefined> {
  return (await server.status()).domains[0]?.certificates[0]?.serial;
}
