/** Starts and reloads that fail change nothing; those that work drop nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { TestServer, eventually, freePorts, missing, selfSigned, signal } from '../latchkey.testing.ts';
import { getPlain, getSecure, isClosed, managed, plain, server } from './faults.testing.ts';

const MIB = 2 ** 20;
const skip = missing('openssl') ?? false;

/** A program that has a port before us. */
async function stranger(t: TestContext, port: number): Promise<void> {
  const holder = createServer().listen(port, '127.0.0.1');
  await once(holder, 'listening');
  t.after(() => holder.close());
}

function prepared(configuration: string): TestServer {
  const one = new TestServer();
  one.write('htdocs/index.html', 'hello');
  one.configure(configuration);
  return one;
}

const page = async (port: number) => (await getPlain(port, 'localhost')).body;

/** Sends SIGUSR1 and waits for the log to say what came of it. */
async function reload(one: TestServer, expected: RegExp): Promise<void> {
  const before = one.log().length;
  signal(one.pid, 'SIGUSR1');
  await eventually(`the log to say ${expected.source}`, () => expected.test(one.log().slice(before)));
}

const RELOADED = /AH00493: reloaded/;

suite('a start that fails', { concurrency: 2 }, () => {
  test('for a mistake in the configuration says where, and starts nothing', async () => {
    const [port = 0] = await freePorts(1);
    await using one = prepared(plain(port, '<VirtualHost *:80>', 'ServerName a b'));
    const { code, stdout, stderr } = await one.run('-k', 'start');
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(
      stderr,
      new RegExp(`^AH00526: Syntax error on line \\d+ of ${one.dir}/httpd\\.conf:\n.+\n$`),
    );
    assert.deepEqual(one.processes(), []);
    assert.equal(existsSync(join(one.dir, 'logs')), false);
  });

  test('for a port in use names it and its line, and leaves nothing', async (t) => {
    const [port = 0, taken = 0] = await freePorts(2);
    await stranger(t, taken);
    await using one = prepared(plain(port));
    await one.start();
    const runtimeDir = one.runtimeDir() ?? '';
    assert.ok(existsSync(runtimeDir));
    await one.stop();
    assert.equal(existsSync(runtimeDir), false);
    one.configure(plain(port, `Listen 127.0.0.1:${taken}`));
    const { code, stdout, stderr } = await one.run('-k', 'start');
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(
      stderr,
      new RegExp(
        `AH00072: make_sock: could not bind to address 127\\.0\\.0\\.1:${taken} .*httpd\\.conf:\\d+.*\\(98\\)Address already in use`,
      ),
    );
    assert.deepEqual(one.processes(), []);
    assert.ok(await isClosed(port));
    assert.equal(existsSync(join(one.dir, 'logs/httpd.pid')), false);
    assert.equal(existsSync(join(one.dir, 'logs/httpd.pid.control')), false);
    assert.equal(existsSync(runtimeDir), false);
  });

  test('for a log that cannot be opened, or a user there is not, says so', async () => {
    const [port = 0] = await freePorts(1);
    await using one = prepared(plain(port, 'ErrorLog missing/error_log'));
    const log = await one.run('-k', 'start');
    assert.equal(log.code, 1);
    assert.match(log.stderr, /^AH00091: could not open log file \S+missing\/error_log: /);
    if (process.getuid?.() === 0) {
      one.configure(plain(port, 'User no-such-user'));
      const user = await one.run('-k', 'start');
      assert.equal(user.code, 1);
      assert.match(user.stderr, /bad user name no-such-user/);
    }
    assert.deepEqual(one.processes(), []);
  });
});

suite('a reload', { concurrency: 2 }, () => {
  test('that cannot have a port leaves everything as it was', async (t) => {
    const [port = 0, fresh = 0, taken = 0] = await freePorts(3);
    await stranger(t, taken);
    await using one = prepared(plain(port, 'Workers 2'));
    await one.start();
    const children = one.children();
    one.write('other/index.html', 'other');
    one.configure(
      plain(
        port,
        'Workers 2',
        `Listen 127.0.0.1:${fresh}`,
        `Listen 127.0.0.1:${taken}`,
        'DocumentRoot other',
      ),
    );
    await reload(one, new RegExp(`reload failed, the running configuration stays: AH00072: .*:${taken} `));
    assert.ok(await isClosed(fresh));
    assert.equal(await page(port), 'hello');

    one.configure(
      plain(
        port,
        'Workers 2',
        `Listen 127.0.0.1:${fresh}`,
        'DocumentRoot other',
        'ServerTokens Full',
      ).replace('<Directory htdocs>', '<Directory other>'),
    );
    await reload(one, RELOADED);
    assert.equal(await page(port), 'other');
    assert.equal(await page(fresh), 'other');
    assert.deepEqual(one.children(), children);
  });

  test('that would change what only a start can change says so', async () => {
    const [port = 0] = await freePorts(1);
    await using one = prepared(plain(port));
    await one.start();
    one.configure(plain(port, 'MDStoreDir elsewhere'));
    await reload(one, /reload failed.*MDStoreDir has changed, which needs a stop and a start/);
    assert.equal(existsSync(join(one.dir, 'elsewhere')), false);
    assert.equal(await page(port), 'hello');
  });

  test('with a certificate that does not fit its key is refused', { skip }, async () => {
    const [http = 0, https = 0] = await freePorts(2);
    await using one = prepared('');
    const a = selfSigned(one.dir, 'a.latchkey.test');
    const b = selfSigned(one.dir, 'b.latchkey.test');
    const host = (cert: string, key: string) =>
      server(
        { http, https },
        `<VirtualHost *:${https}>`,
        'ServerName a.latchkey.test',
        `TLSCertificate ${cert} ${key}`,
        '</VirtualHost>',
      );
    one.configure(host(a.cert, a.key));
    await one.start();
    one.configure(host(a.cert, b.key));
    await reload(one, new RegExp(`reload failed, .*${a.cert}: .*key`));
    assert.equal((await getSecure(https, 'a.latchkey.test')).body, 'hello');

    // The same files with new content are a change, too.
    one.configure(host(a.cert, a.key));
    const { serial } = await getSecure(https, 'a.latchkey.test');
    selfSigned(one.dir, 'a.latchkey.test');
    await reload(one, RELOADED);
    assert.notEqual((await getSecure(https, 'a.latchkey.test')).serial, serial);
  });

  test('opens its logs anew', async () => {
    const [port = 0] = await freePorts(1);
    await using one = prepared(plain(port, 'CustomLog logs/access_log "%r"'));
    await one.start();
    const logs = ['error_log', 'access_log'].map((name) => join(one.dir, 'logs', name));
    await page(port);
    for (const log of logs) renameSync(log, `${log}.1`);
    await getPlain(port, 'localhost', '/between');
    // Lines are on their way for a while: which file is the right one for those that come meanwhile, nobody can say.
    await eventually('a line in the old log', () => one.read('logs/access_log.1').includes('/between'));
    signal(one.pid, 'SIGUSR1');
    await eventually('new logs', () => logs.every((log) => existsSync(log)) && RELOADED.test(one.log()));
    await getPlain(port, 'localhost', '/after');
    await eventually('a line in the new log', () => one.read('logs/access_log') === 'GET /after HTTP/1.1\n');
    assert.equal(one.read('logs/access_log.1'), 'GET / HTTP/1.1\nGET /between HTTP/1.1\n');
    assert.doesNotMatch(one.read('logs/error_log.1'), RELOADED);
  });

  test('goes on with children that are just being replaced', async () => {
    const [http = 0, https = 0] = await freePorts(2);
    await using one = prepared(plain(http, 'Workers 2'));
    await one.start();
    for (const [kind, text] of [
      ['workers', 'first'],
      ['engine', 'second'],
    ] as const) {
      const [victim = 0] = one.children()[kind];
      signal(victim, 'SIGKILL');
      one.configure(plain(http, 'Workers 2', `Header set X-Generation ${text}`, `Listen 127.0.0.1:${https}`));
      await reload(one, RELOADED);
      await eventually('all children', () => {
        const { engine, workers } = one.children();
        return engine.length === 1 && workers.length === 2 && ![...engine, ...workers].includes(victim);
      });
      await eventually('an engine that answers', () => one.status());
      const answers = await Promise.all(Array.from({ length: 10 }, () => generation(http)));
      assert.deepEqual(new Set(answers), new Set([text]));
    }
  });

  test('never mixes up generations when many are asked for at once', async () => {
    const [port = 0] = await freePorts(1);
    await using one = prepared(plain(port, 'Workers 2'));
    await one.start();
    for (let n = 1; n <= 20; n++) {
      one.configure(plain(port, 'Workers 2', `Header set X-Generation ${n}`));
      signal(one.pid, n % 2 ? 'SIGUSR1' : 'SIGHUP');
    }
    await eventually('the last of them', async () => (await generation(port)) === '20');
    const answers = await Promise.all(Array.from({ length: 10 }, () => generation(port)));
    assert.deepEqual(new Set(answers), new Set(['20']));
  });
});

async function generation(port: number): Promise<string | undefined> {
  const asking = request({ host: '127.0.0.1', port, agent: false }).end();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return response.headers['x-generation']?.toString();
}

test('a graceful stop lets a download finish, while another server takes over', async () => {
  const [port = 0] = await freePorts(1);
  await using one = prepared(plain(port, 'MDomain a.latchkey.test', 'MDRenewMode manual'));
  writeFileSync(join(one.dir, 'htdocs/large'), Buffer.alloc(64 * MIB, 'x'));
  await one.start();
  const before = one.pid;
  const asking = request({ host: '127.0.0.1', port, path: '/large', agent: false }).end();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  assert.equal((await one.run('-k', 'graceful-stop')).code, 0);
  await one.start();
  assert.notEqual(one.pid, before);
  assert.equal(await page(port), 'hello');

  let bytes = 0;
  for await (const chunk of response) bytes += (chunk as Buffer).length;
  assert.equal(bytes, 64 * MIB);
  await eventually('the old server to end', () => !one.processes().includes(before));
  assert.equal(readFileSync(join(one.dir, 'logs/httpd.pid'), 'utf8'), `${one.pid}\n`);
  assert.equal((await one.status()).domains.length, 1);
  assert.equal(one.processes().length, 3);
});

test('two servers of one ServerRoot, told apart by their PidFile, leave each other alone', async () => {
  const [http = 0, https = 0, otherHttp = 0, otherHttps = 0] = await freePorts(4);
  const configuration = (ports: { http: number; https: number }, name: string) =>
    server(
      ports,
      'Workers 1',
      managed(ports, 'http://localhost:1/directory', [`${name}.latchkey.test`]),
      `PidFile logs/${name}.pid`,
      `ErrorLog logs/${name}_log`,
      `MDStoreDir ${name}`,
    );
  await using one = prepared(configuration({ http, https }, 'a'));
  one.write('b.conf', configuration({ http: otherHttp, https: otherHttps }, 'b'));
  const other = ['-d', one.dir, '-f', 'b.conf'];
  await one.start();
  const second = await one.latchkey(...other, '-k', 'start');
  assert.equal(second.code, 0, second.stderr);
  assert.equal((await one.status()).domains[0]?.name, 'a.latchkey.test');
  const status = await one.latchkey(...other, 'status', '--json');
  assert.match(status.stdout, /"b\.latchkey\.test"/);
  assert.equal((await getSecure(https, 'a.latchkey.test')).names, 'DNS:a.latchkey.test');
  assert.equal((await one.latchkey(...other, '-k', 'stop')).code, 0);
  assert.equal((await one.status()).domains[0]?.name, 'a.latchkey.test');
  assert.equal((await getSecure(https, 'a.latchkey.test')).names, 'DNS:a.latchkey.test');
});
