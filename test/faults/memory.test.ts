/** Hostile clients leave nothing behind in a process: whatever they send is gone along with them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { connect as connectSecure } from 'node:tls';
import { retainedBy } from '../../src/base/retained.testing.ts';
import { createAuthority } from '../../src/certificates/credentials.testing.ts';
import { serve } from '../../src/http/frontend.testing.ts';
import { ambiguous } from '../../src/http/hostile.testing.ts';
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  frame,
  HEADERS,
  literal,
  opening,
  requestFor,
  RST_STREAM,
} from '../../src/http/http2-frames.testing.ts';
import { settingsOf, virtualHost } from '../../src/http/settings.testing.ts';
import { createFallbackCertificate } from '../../src/pki/selfsigned.ts';
import { SecureContexts } from '../../src/tls/contexts.ts';
import { captureHello, helloBody, helloMessage, records } from '../../src/tls/hello.testing.ts';
import { modernPolicy } from '../../src/tls/policy.ts';
import { startServer } from '../../src/tls/serve.testing.ts';

/** Octets for each connection: far less than a socket that is forgotten. */
const NOTHING = 500;
const CALLS = 6;

test('the measure sees what is kept, and nothing where nothing is', async () => {
  const kept: string[][] = [];
  const leak = async () => void kept.push(Array.from({ length: 100 }, (_, n) => `${n}`));
  const each = await retainedBy(leak, 1000, NOTHING);
  assert.ok(each > NOTHING, `${each}`);
  const harmless = await retainedBy(async () => void Array.from({ length: 1000 }), 1000, NOTHING / 10);
  assert.ok(harmless < NOTHING / 10, `${harmless}`);
  assert.equal(kept.length, 11_000);
});

/** When a client goes: with the first answer, by a reset, at once, or when the server has had enough. */
type Leaving = 'answered' | 'reset' | 'gone' | 'closed';

async function send(port: number, bytes: Buffer | string, how: Leaving): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  await sendBy(socket, bytes, how);
}

async function sendBy(socket: Socket, bytes: Buffer | string, how: Leaving): Promise<void> {
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await new Promise((resolve) => socket.write(bytes, resolve));
  if (how === 'answered') await Promise.race([once(socket, 'data').catch(() => {}), closed]);
  socket.resume();
  if (how === 'answered' || how === 'gone') socket.destroy();
  if (how === 'reset') socket.resetAndDestroy();
  await closed;
}

suite('What is kept of clients', async () => {
  const authority = await createAuthority();
  const certificate = await authority.issue(['a.test']);

  test('that begin no handshake, or only half of one', async () => {
    const hello = records(helloMessage(helloBody({ sni: 'a.test' })));
    const script = `require('tls').connect({ host: '127.0.0.1', port: process.argv[1] }).on('error', () => {})`;
    const real = await captureHello(process.execPath, (port) => ['-e', script, port]);
    const damaged = Buffer.from(real);
    damaged[60] = 0xff;
    const corpus = [
      ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'answered'],
      [Buffer.alloc(64), 'closed'],
      [Buffer.from('16030100ff01000000', 'hex'), 'reset'],
      [Buffer.concat([Buffer.from('160301ffff', 'hex'), Buffer.alloc(70_000, 1)]), 'answered'],
      [hello.subarray(0, 40), 'reset'],
      [hello, 'reset'],
      [damaged, 'answered'],
      [real, 'answered'],
    ] as const;
    const context = new SecureContexts().create([certificate], modernPolicy, 'a');
    const selection = { kind: 'serve', context, policy: modernPolicy, alpn: ['h2'], tag: 'a' } as const;
    await using server = await startServer({ select: () => selection });
    const each = await retainedBy(
      async () => {
        for (const [bytes, how] of corpus) await send(server.port, bytes, how);
        await server.idle();
        server.log.length = 0;
      },
      CALLS,
      NOTHING * corpus.length,
    );
    assert.ok(each / corpus.length < NOTHING, `${each / corpus.length}`);
  });

  test('whose requests are ambiguous', async () => {
    await using served = await serve(settingsOf({ hosts: [virtualHost('a.test', {})] }));
    const each = await retainedBy(
      async () => {
        for (const text of ambiguous) await send(served.port, text, 'answered');
        while (served.frontend.connections > 0) await new Promise((resolve) => setImmediate(resolve));
      },
      CALLS,
      NOTHING * ambiguous.length,
    );
    assert.ok(each / ambiguous.length < NOTHING, `${each / ambiguous.length}`);
  });

  test('whose frames make no sense', async () => {
    const { certPem: cert, keyPem: key } = await createFallbackCertificate({
      names: ['a.test'],
      now: Date.now(),
    });
    const request = requestFor('a.test');
    const corpus = [
      [Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'), 'closed'],
      [Buffer.concat([opening, frame(DATA, 0, 1, Buffer.alloc(100))]), 'closed'],
      [Buffer.concat([opening, frame(HEADERS, 0, 1, request)]), 'gone'],
      [
        Buffer.concat([
          opening,
          frame(HEADERS, 0, 1, request),
          ...Array.from({ length: 50 }, () => frame(CONTINUATION, 0, 1, literal('a', 'b'))),
        ]),
        'gone',
      ],
      [
        Buffer.concat([
          opening,
          ...Array.from({ length: 50 }, (_, n) => [
            frame(HEADERS, END_HEADERS, 1 + 2 * n, request),
            frame(RST_STREAM, 0, 1 + 2 * n, Buffer.of(0, 0, 0, 8)),
          ]).flat(),
        ]),
        'gone',
      ],
    ] as const;
    await using served = await serve(settingsOf({ hosts: [virtualHost('a.test', {})] }), {}, { cert, key });
    const each = await retainedBy(
      async () => {
        for (const [bytes, how] of corpus) {
          const options = { host: '127.0.0.1', port: served.port, rejectUnauthorized: false };
          const socket = connectSecure({ ...options, ALPNProtocols: ['h2'] });
          await once(socket, 'secureConnect');
          await sendBy(socket, bytes, how);
        }
        while (served.frontend.connections > 0) await new Promise((resolve) => setImmediate(resolve));
      },
      CALLS,
      NOTHING * corpus.length,
    );
    assert.ok(each / corpus.length < NOTHING, `${each / corpus.length}`);
  });
});
