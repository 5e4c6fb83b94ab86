/** Clients that send garbage, or next to nothing: each costs itself its connection, and nobody else anything. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { connect as connectSecure } from 'node:tls';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { TestServer, freePorts, missing, selfSigned } from '../latchkey.testing.ts';
import { getSecure, server } from './faults.testing.ts';

const NAME = 'a.latchkey.test';
const skip = missing('openssl') ?? false;

let one: TestServer;
let http = 0;
let https = 0;
/** The same host for those who are no attackers: a busy machine may make them slow. */
let patient = 0;
let children: ReturnType<TestServer['children']>;

/** Everything that a connection gets until it ends. */
async function untilEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks);
}

async function send(port: number, ...parts: readonly (string | Buffer)[]): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1' });
  const got = untilEnd(socket);
  for (const part of parts) socket.write(part);
  return got;
}

/** A TLS record that is an alert. */
const isAlert = (bytes: Buffer) => bytes[0] === 21;

/** Passes on what is written octet by octet, each in a segment of its own. */
class OneByOne extends Duplex {
  readonly #socket: Socket;
  sent = 0;

  constructor(port: number) {
    super();
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.push(chunk)).on('end', () => this.push(null));
    this.#socket.on('error', (error) => this.destroy(error));
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const next = (at: number): void => {
      if (at === chunk.length) return done();
      this.sent++;
      this.#socket.write(chunk.subarray(at, at + 1), () => setImmediate(() => next(at + 1)));
    };
    next(0);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}

before(async () => {
  if (skip) return;
  [http = 0, https = 0, patient = 0] = await freePorts(3);
  one = new TestServer();
  one.write('htdocs/index.html', 'hello');
  const { cert, key } = selfSigned(one.dir, NAME);
  one.configure(
    server(
      { http, https },
      'Workers 2',
      'RequestReadTimeout handshake=1 header=1 body=1',
      'Timeout 5',
      `<VirtualHost *:${http} *:${https}>`,
      `ServerName ${NAME}`,
      `TLSCertificate ${cert} ${key}`,
      'ProxyPass /backend http://127.0.0.1:1/',
      '</VirtualHost>',
      `Listen 127.0.0.1:${patient}`,
      `<VirtualHost *:${patient}>`,
      `ServerName ${NAME}`,
      'SSLEngine on',
      `SSLCertificateFile ${cert}`,
      `SSLCertificateKeyFile ${key}`,
      'RequestReadTimeout handshake=0 header=0 body=0',
      '</VirtualHost>',
    ),
  );
  await one.start();
  children = one.children();
});

after(async () => {
  await one?.[Symbol.asyncDispose]();
});

suite('a client', { concurrency: true, skip }, () => {
  test('that sends garbage instead of a ClientHello is shown out', async () => {
    for (const garbage of [
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      Buffer.alloc(64, 0),
      Buffer.from('16030100ff01000000', 'hex'),
      Buffer.concat([Buffer.from('1603014000', 'hex'), Buffer.alloc(0x4000, 1)]),
      Buffer.concat([Buffer.from('160301ffff', 'hex'), Buffer.alloc(70_000, 1)]),
    ]) {
      const got = await send(https, garbage);
      assert.ok(
        got.length === 0 || isAlert(got) || got.toString().startsWith('HTTP/1.1 400'),
        got.toString(),
      );
    }
  });

  test('that says nothing, or only begins a ClientHello, is let go after a second', async () => {
    const got = await Promise.all([
      send(https),
      send(https, '\x16'),
      send(https, Buffer.from('16030100', 'hex')),
    ]);
    assert.ok(got.every((bytes) => bytes.length === 0 || isAlert(bytes)));
  });

  test('whose ClientHello comes octet by octet is served', async () => {
    const wire = new OneByOne(patient);
    const socket = connectSecure({ socket: wire, servername: NAME, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    socket.write(`GET / HTTP/1.1\r\nHost: ${NAME}\r\nConnection: close\r\n\r\n`);
    const got = await text(socket);
    socket.destroy();
    assert.match(got, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nhello$/);
    assert.ok(wire.sent > 200);
  });

  test('with an unknown, an absurd or no name is refused or served, and no more', async () => {
    const names = [
      'unknown.latchkey.test',
      `${'x'.repeat(60)}.${'y'.repeat(60)}.test`,
      '',
      'a\u0000.latchkey.test',
    ];
    await Promise.all(
      names.map(async (servername) => {
        const socket = connectSecure({
          port: https,
          host: '127.0.0.1',
          servername,
          rejectUnauthorized: false,
        });
        const secure = once(socket, 'secureConnect').then(() => socket.destroy());
        await Promise.allSettled([secure, once(socket, 'close')]);
      }),
    );
  });

  test('that sends its header too slowly gets 408, or is let go', async () => {
    const socket = connect({ port: http, host: '127.0.0.1' });
    const ended = untilEnd(socket);
    const trickle = setInterval(() => socket.write('X'), 50);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ');
    const got = (await ended).toString();
    clearInterval(trickle);
    assert.match(got, /^(HTTP\/1\.1 408 |$)/);
  });

  test('that sends its body too slowly gets 408, or is let go', async () => {
    const socket = connect({ port: http, host: '127.0.0.1' });
    const ended = untilEnd(socket);
    const trickle = setInterval(() => socket.write('x'), 50);
    socket.write(`POST /index.html HTTP/1.1\r\nHost: ${NAME}\r\nContent-Length: 100000\r\n\r\n`);
    await ended;
    clearInterval(trickle);
  });

  test('that sends a head no parser should take is refused', async () => {
    for (const head of [
      'GET\r\n\r\n',
      '\0\0\0\0\r\n\r\n',
      `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(500)}\r\n`,
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    ]) {
      const got = (await send(http, head)).toString();
      assert.match(got, /^HTTP\/1\.1 4\d\d /, JSON.stringify(head.slice(0, 40)));
    }
  });

  test('that leaves in the middle of everything is not missed', async () => {
    await Promise.all(
      Array.from({ length: 30 }, async (_, n) => {
        const socket = connect({ port: n % 2 ? http : https, host: '127.0.0.1' });
        await once(socket, 'connect');
        socket.write(n % 2 ? 'GET /backend HTTP/1.1\r\nHo' : Buffer.from('1603010200010001fc0303', 'hex'));
        socket.resetAndDestroy();
        await once(socket, 'close');
      }),
    );
  });
});

test('after all that the same workers serve as before', { skip }, async () => {
  assert.equal((await getSecure(patient, NAME)).body, 'hello');
  assert.deepEqual(one.children(), children);
  assert.doesNotMatch(one.log(), /AH00052|uncaught|unhandled/i);
});
