/** What a reload must leave alone, whoever is born, dies or listens meanwhile. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { connect } from 'node:tls';
import { eventually, freePorts, missing, selfSigned, signal, TestServer } from './latchkey.testing.ts';

const notRoot = process.getuid?.() !== 0 && 'only root can serve as another user';

/** Whom a server shows for `name`. */
async function shownFor(port: number, name: string): Promise<string | undefined> {
  const socket = connect({ host: '127.0.0.1', port, servername: name, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const subject = socket.getPeerX509Certificate()?.subject;
  socket.destroy();
  return subject;
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connectTcp(port, '127.0.0.1');
  const [event] = await Promise.race(
    ['connect', 'error'].map(
      (name) => new Promise<string[]>((resolve) => socket.once(name, () => resolve([name]))),
    ),
  );
  socket.destroy();
  return event === 'connect';
}

suite('a reload', { skip: missing('openssl') }, () => {
  test('that fails leaves a worker born meanwhile with the configuration that stays', async () => {
    const [port = 0, added = 0] = await freePorts(2);
    await using server = new TestServer();
    const host = (name: string, keyOf = name) => {
      const { cert } = selfSigned(server.dir, name);
      const key = join(server.dir, `${keyOf}.ec.key`);
      return `<VirtualHost *:${port}>
        ServerName ${name}
        SSLEngine on
        SSLCertificateFile ${cert}
        SSLCertificateKeyFile ${key}
      </VirtualHost>\n`;
    };
    const [one, two] = [host('one.test'), host('two.test')];
    const listen = `Workers 1\nListen 127.0.0.1:${port} https\n`;
    server.configure(listen + one + two);
    await server.start();
    assert.equal(await shownFor(port, 'one.test'), 'CN=one.test');
    assert.equal(await shownFor(port, 'two.test'), 'CN=two.test');
    const { engine, workers } = server.children();

    // The engine does not answer, so the reload waits; the worker is prepared when it has bound the new address.
    for (const pid of engine) signal(pid, 'SIGSTOP');
    server.configure(`${listen}Listen 127.0.0.1:${added}\n${two}${one}${host('broken.test', 'one.test')}`);
    signal(server.pid, 'SIGUSR1');
    await eventually('a prepared worker', () => isOpen(added));
    for (const pid of workers) signal(pid, 'SIGKILL');
    await eventually('another worker', async () => (await shownFor(port, 'one.test')) !== undefined);
    // Now it answers: that a certificate and its key don't belong together.
    for (const pid of engine) signal(pid, 'SIGCONT');
    await eventually('the reload to fail', () => server.log().includes('reload failed'));

    assert.equal(await shownFor(port, 'one.test'), 'CN=one.test');
    assert.equal(await shownFor(port, 'two.test'), 'CN=two.test');
  });

  test('does not touch the embedded CA while its directives stay', async () => {
    const [http = 0, ca = 0] = await freePorts(2);
    await using server = new TestServer();
    server.configure(`Workers 1\nListen 127.0.0.1:${http}\nLocalCA on 127.0.0.1:${ca}\n`);
    await server.start();
    const connection = connectTcp(ca, '127.0.0.1');
    await once(connection, 'connect');
    const closed = once(connection, 'close').then(() => 'closed');
    await server.run('-k', 'graceful');
    await eventually('the reload', () => server.log().includes('AH00493'));
    assert.equal(await Promise.race([closed, Promise.resolve('open')]), 'open');
    connection.destroy();
  });

  test('starts an embedded CA that it adds, for User too', { skip: notRoot }, async () => {
    const [http = 0, ca = 0] = await freePorts(2);
    await using server = new TestServer();
    const base = `Workers 1\nUser nobody\nListen 127.0.0.1:${http}\n`;
    server.configure(base);
    await server.start();
    server.configure(`${base}LocalCA on 127.0.0.1:${ca}\n`);
    await server.run('-k', 'graceful');
    await eventually('the reload', () => server.log().includes('AH00493'));
    assert.equal(await isOpen(ca), true, server.log());
  });
});

test('servers with one ServerRoot leave each other alone', async () => {
  const [first = 0, second = 0] = await freePorts(2);
  await using server = new TestServer();
  const configure = (port: number, pidFile: string) =>
    `Workers 1\nListen 127.0.0.1:${port}\nPidFile ${pidFile}\nMDStoreDir md-${port}\n`;
  server.configure(configure(first, 'logs/httpd.pid'));
  server.write('second.conf', configure(second, 'logs/second.pid'));
  await server.start();
  const another = (...args: string[]) => server.latchkey('-d', server.dir, '-f', 'second.conf', ...args);
  assert.equal((await another('-k', 'start')).code, 0);
  await another('-k', 'stop');
  assert.equal((await server.run('status', '--json')).code, 0);
});
