/** Clients that come again: whichever worker they meet, they go on where they were. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { connect } from 'node:tls';
import { TestServer, eventually, freePorts, missing, run, selfSigned } from './latchkey.testing.ts';

const NAME = 'a.latchkey.test';
const skip = missing('openssl') ?? false;
const versions = ['TLSv1.2', 'TLSv1.3'] as const;
const RECONNECTS = 200;

let one: TestServer;
let https = 0;

interface Visit {
  readonly reused: boolean;
  readonly session: Buffer;
  /** What the server says of it: SSL_SESSION_RESUMED. */
  readonly told: string | undefined;
}

async function visit(version: (typeof versions)[number], before?: Buffer): Promise<Visit> {
  const socket = connect({
    host: '127.0.0.1',
    port: https,
    servername: NAME,
    rejectUnauthorized: false,
    minVersion: version,
    maxVersion: version,
    ...(before ? { session: before } : {}),
  });
  let session: Buffer | undefined;
  socket.on('session', (bytes) => (session = bytes));
  let received = '';
  socket.on('data', (data) => (received += data.toString('latin1')));
  await once(socket, 'secureConnect');
  const reused = socket.isSessionReused();
  // Of TLS 1.3 a new one comes after each handshake.
  if (version === 'TLSv1.2') session = socket.getSession();
  socket.write(`GET / HTTP/1.1\r\nHost: ${NAME}\r\nConnection: close\r\n\r\n`);
  await once(socket, 'end');
  socket.destroy();
  assert.match(received, /^HTTP\/1\.1 200 /);
  assert.ok(session);
  return { reused, session, told: /^x-resumed: (.*)\r$/im.exec(received)?.[1] };
}

before(async () => {
  if (skip) return;
  [https = 0] = await freePorts(1);
  one = new TestServer();
  one.write('htdocs/index.html', 'hello');
  const { cert, key } = selfSigned(one.dir, NAME);
  one.configure(
    [
      `Listen 127.0.0.1:${https}`,
      'Workers 2',
      'LogLevel info',
      'DocumentRoot htdocs',
      '<Directory htdocs>',
      'Require all granted',
      '</Directory>',
      'Header always set X-Resumed "%{SSL_SESSION_RESUMED}s"',
      `<VirtualHost *:${https}>`,
      `ServerName ${NAME}`,
      'SSLEngine on',
      `SSLCertificateFile ${cert}`,
      `SSLCertificateKeyFile ${key}`,
      '</VirtualHost>',
      '',
    ].join('\n'),
  );
  await one.start();
});

after(async () => {
  await one?.[Symbol.asyncDispose]();
});

suite('sessions of two workers', { skip }, () => {
  for (const version of versions) {
    test(`all of ${RECONNECTS} reconnects resume, across a reload (${version})`, async () => {
      let last = await visit(version);
      assert.deepEqual([last.reused, last.told], [false, 'Initial']);
      let resumed = 0;
      const generation = one.log().split('AH00493').length;
      for (let n = 0; n < RECONNECTS; n++) {
        if (n === RECONNECTS / 2) await one.run('-k', 'graceful');
        last = await visit(version, last.session);
        if (last.reused && last.told === 'Resumed') resumed++;
      }
      await eventually('the reload', () => one.log().split('AH00493').length > generation);
      assert.equal(resumed, RECONNECTS);
    });

    test(`those of openssl do, too (${version})`, async () => {
      const file = join(one.dir, `session.${version}`);
      const flags = ['-connect', `127.0.0.1:${https}`, '-servername', NAME];
      const only = version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';
      const input = `GET / HTTP/1.1\r\nHost: ${NAME}\r\nConnection: close\r\n\r\n`;
      const client = (...args: string[]) =>
        run('openssl', ['s_client', ...flags, only, '-ign_eof', ...args], { input });
      assert.match((await client('-sess_out', file)).stdout, /^New, /m);
      for (let n = 0; n < 4; n++) {
        assert.match((await client('-sess_in', file, '-sess_out', file)).stdout, /^Reused, /m);
      }
    });
  }
});
