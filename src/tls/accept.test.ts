import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { suite, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { createAuthority } from '../certificates/credentials.testing.ts';
import type { Selection } from './accept.ts';
import type { ClientHello } from './clienthello.ts';
import { SecureContexts } from './contexts.ts';
import { captureHello, helloBody, helloMessage, records } from './hello.testing.ts';
import type { Endpoints } from './incoming.ts';
import { createPolicy, modernPolicy } from './policy.ts';
import { ask, connectRaw, startServer as start } from './serve.testing.ts';
import type { TestServer } from './serve.testing.ts';
import { HandshakeQueue } from './handshake-queue.ts';

const versions = ['TLSv1.2', 'TLSv1.3'] as const;

for (const kind of ['sockets', 'handles'] as const)
  suite(`An acceptor of ${kind}`, async () => {
    const startServer = (options: Parameters<typeof start>[0]) => start(options, kind);
    const authority = await createAuthority();
    const strangers = await createAuthority('Strangers');
    const certificate = await authority.issue(['a.example.org']);
    const contexts = new SecureContexts();
    const serve: Selection<string> = {
      kind: 'serve',
      context: contexts.create([certificate], modernPolicy, 'a'),
      policy: modernPolicy,
      alpn: ['h2', 'http/1.1'],
      tag: 'a tag',
    };
    const client: ConnectionOptions = { servername: 'a.example.org', ca: authority.rootPem };
    const select = () => serve;
    const alert = (code: number) => Buffer.of(21, 3, 3, 0, 2, 2, code);
    const hello = records(helloMessage(helloBody({ sni: 'a.example.org' })));

    /** The test's connection is all there is to wait for: no timer is left, nothing is open, nothing was served. */
    async function assertGone(server: TestServer): Promise<void> {
      await server.idle();
      assert.equal(server.timers.size, 0);
      assert.deepEqual(server.secured, []);
    }

    for (const version of versions) {
      test(`serves HTTP/1.1 over ${version}`, async () => {
        await using server = await startServer({ select });
        const { received, error } = await ask(server, {
          ...client,
          minVersion: version,
          maxVersion: version,
        });
        assert.equal(error, undefined);
        assert.match(received, /^HTTP\/1\.1 200 /);
        const served = { tag: 'a tag', sni: 'a.example.org', authorized: false };
        assert.deepEqual(JSON.parse(received.split('\r\n\r\n')[1] ?? ''), served);
        await server.idle();
        assert.equal(server.timers.size, 0);
      });

      test(`serves HTTP/2 over ${version}`, async () => {
        await using server = await startServer({ select });
        const session = connectHttp2(`https://a.example.org:${server.port}`, {
          ...client,
          minVersion: version,
          maxVersion: version,
          lookup: (_name, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
        });
        const stream = session.request({ ':path': '/' });
        let body = '';
        for await (const chunk of stream) body += String(chunk);
        assert.equal(JSON.parse(body).alpn, 'h2');
        session.close();
        await server.idle();
      });
    }

    test('chooses by the hello and the addresses, before TLS begins', async () => {
      const asked: [ClientHello, Endpoints][] = [];
      await using server = await startServer({
        select: (...args) => {
          asked.push(args);
          return serve;
        },
      });
      await ask(server, { ...client, ALPNProtocols: ['http/1.1'] });
      const [hello, endpoints] = asked[0] ?? assert.fail();
      assert.equal(hello.sni, 'a.example.org');
      assert.deepEqual(hello.alpn, ['http/1.1']);
      assert.equal(endpoints.localAddress, '127.0.0.1');
      assert.equal(endpoints.localPort, server.port);
      assert.equal(endpoints.remoteAddress, '127.0.0.1');
    });

    test('waits for a choice that takes time', async () => {
      const { promise, resolve } = Promise.withResolvers<Selection<string>>();
      const asked = Promise.withResolvers<void>();
      await using server = await startServer({
        select: () => {
          asked.resolve();
          return promise;
        },
      });
      const answer = ask(server, client);
      await asked.promise;
      assert.equal(server.acceptor.pending, 1);
      resolve(serve);
      assert.match((await answer).received, /^HTTP\/1\.1 200 /);
    });

    test('takes a hello octet by octet', async () => {
      await using server = await startServer({ select });
      await using relay = await startRelay(server.port, 600);
      const { received } = await ask({ ...server, port: relay.port }, client);
      assert.match(received, /^HTTP\/1\.1 200 /);
    });

    test('serves who asks for no name', async () => {
      await using server = await startServer({ select });
      const { received } = await ask(server, { ca: authority.rootPem, checkServerIdentity: () => undefined });
      assert.match(received, /^HTTP\/1\.1 200 /);
      assert.equal(server.secured[0]?.sni, undefined);
    });

    test('refuses a client that offers other protocols only', async () => {
      await using server = await startServer({ select });
      const { error } = await ask(server, { ...client, ALPNProtocols: ['spdy/3'] });
      assert.equal(error?.code, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
      await assertGone(server);
    });

    for (const version of versions) {
      test(`closes a connection of acme-tls/1 when the handshake is done, over ${version}`, async () => {
        await using server = await startServer({ select: () => ({ ...serve, alpn: ['acme-tls/1'] }) });
        const socket = connectTls({
          ...client,
          host: '127.0.0.1',
          port: server.port,
          ALPNProtocols: ['acme-tls/1'],
          maxVersion: version,
        });
        await once(socket, 'secureConnect');
        assert.equal(socket.alpnProtocol, 'acme-tls/1');
        assert.equal(socket.getPeerX509Certificate()?.serialNumber, certificate.serial);
        socket.resume();
        await once(socket, 'close');
        await assertGone(server);
      });

      test(`gives the staple to who asks for it, over ${version}`, async () => {
        const staple = Buffer.from('an OCSP response');
        await using server = await startServer({ select: () => ({ ...serve, staple }) });
        const got: Buffer[] = [];
        for (const requestOCSP of [true, false]) {
          const socket = connectTls({
            ...client,
            host: '127.0.0.1',
            port: server.port,
            requestOCSP,
            maxVersion: version,
          });
          socket.on('OCSPResponse', (response: Buffer | null) => response && got.push(response));
          await once(socket, 'secureConnect');
          socket.destroy();
        }
        assert.deepEqual(got, [staple]);
      });

      test(`survives a TLS error after the handshake, over ${version}`, async () => {
        await using server = await startServer({ select });
        const raw = connectTcp({ host: '127.0.0.1', port: server.port });
        const socket = connectTls({ ...client, socket: raw, maxVersion: version });
        socket.on('error', () => {});
        while (server.secured.length === 0) await new Promise((resolve) => setImmediate(resolve));
        raw.write(Buffer.concat([Buffer.of(23, 3, 3, 0, 40), Buffer.alloc(40)]));
        await once(raw, 'close');
        await server.idle();
        assert.equal(server.secured.length, 1);
      });
    }

    suite('asking for client certificates', () => {
      const auth = { clientCa: authority.chainPem } as const;
      const policies = {
        require: createPolicy({ ...auth, clientAuth: 'require' }),
        optional: createPolicy({ ...auth, clientAuth: 'optional' }),
      };
      const ticketKeys = [Buffer.alloc(48, 5)];
      const selection = (policy: keyof typeof policies | 'none', owner = 'a'): Selection<string> => {
        const chosen = policy === 'none' ? modernPolicy : policies[policy];
        const context = new SecureContexts({ ticketKeys }).create([certificate], chosen, owner);
        return { ...serve, context, policy: chosen };
      };
      const good = authority.issue(['client']);
      const bad = strangers.issue(['client']);
      const shown = async (kind: 'good' | 'bad' | 'none') => {
        if (kind === 'none') return client;
        const { chainPem, keyPem } = await (kind === 'good' ? good : bad);
        return { ...client, cert: chainPem, key: keyPem };
      };
      const expected = [
        ['require', 'good', true],
        ['require', 'bad', false],
        ['require', 'none', false],
        ['optional', 'good', true],
        ['optional', 'bad', false],
        ['optional', 'none', true],
      ] as const;

      for (const version of versions) {
        for (const [policy, kind, welcome] of expected) {
          test(`(${policy}) it lets a client with ${kind} ${welcome ? 'in' : 'not in'}, over ${version}`, async () => {
            await using server = await startServer({ select: () => selection(policy) });
            const { received, session } = await ask(server, { ...(await shown(kind)), maxVersion: version });
            if (welcome) {
              assert.match(received, /^HTTP\/1\.1 200 /);
              assert.equal(server.secured[0]?.authorized, kind === 'good');
            } else {
              assert.equal(received, '');
              await assertGone(server);
              assert.match(server.log.join('\n'), /handshake with 127\.0\.0\.1 failed: [\w :]+$/m);
              assert.doesNotMatch(server.log.join('\n'), /Node\.js|error:|\.c:/);
            }
            if (welcome || session === undefined) return;
            // Nor does the ticket help that TLS 1.3 gave before the certificate was looked at.
            for (const again of [client, await shown(kind)]) {
              const resumed = await ask(server, { ...again, session, maxVersion: version });
              assert.equal(resumed.received, '');
            }
            await assertGone(server);
          });
        }

        test(`it lets who was let in resume, at every acceptor with the same ticket key, over ${version}`, async () => {
          await using first = await startServer({ select: () => selection('require') });
          await using second = await startServer({ select: () => selection('require') });
          const options = { ...(await shown('good')), maxVersion: version };
          const { session } = await ask(first, options);
          for (const server of [first, second]) {
            const { received, reused } = await ask(server, { ...options, session });
            assert.equal(reused, true);
            assert.match(received, /"authorized":true/);
          }
        });

        test(`it does not take another policy's or owner's session for a certificate, over ${version}`, async () => {
          let current = selection('none');
          await using server = await startServer({ select: () => current });
          const { session } = await ask(server, { ...client, maxVersion: version });
          assert.ok(session);
          current = selection('require');
          const { received, reused } = await ask(server, { ...client, session, maxVersion: version });
          assert.equal(received, '');
          assert.equal(reused, false);
          current = selection('none', 'b');
          const other = await ask(server, { ...client, session, maxVersion: version });
          assert.match(other.received, /^HTTP\/1\.1 200 /);
          assert.equal(other.reused, false);
        });
      }
    });

    suite('before TLS', () => {
      const peers: Record<string, { send: Buffer; answer: Buffer | RegExp }> = {
        'who speaks plain HTTP': {
          send: Buffer.from('GET / HTTP/1.1\r\nHost: a.example.org\r\n\r\n'),
          answer:
            /^HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\n[^]*\r\n\r\n[^]*You're speaking plain HTTP to an SSL-enabled server port\./,
        },
        'who sends garbage': { send: Buffer.from([0, 1, 2, 3, 255]), answer: Buffer.alloc(0) },
        'who sends a malformed hello': {
          send: records(Buffer.of(1, 0, 0, 3, 3, 3, 9)),
          answer: alert(50),
        },
        'whose hello is over-long': {
          send: records(helloMessage(Buffer.alloc(2 ** 16))),
          answer: alert(50),
        },
      };
      for (const [who, { send, answer }] of Object.entries(peers)) {
        test(`answers one ${who}, and closes`, async () => {
          await using server = await startServer({ select: () => assert.fail('nothing to choose by') });
          const { socket, received } = await connectRaw(server);
          socket.write(send);
          const got = await received;
          if (answer instanceof RegExp) assert.match(got.toString(), answer);
          else assert.deepEqual(got, answer);
          socket.end();
          await assertGone(server);
          assert.match(server.log.join('\n'), /tls:info.* handshake with 127\.0\.0\.1 failed: /);
        });
      }

      test('destroys a refused peer that goes on sending and never closes', async () => {
        await using server = await startServer({ select });
        const { socket, received } = await connectRaw(server);
        socket.write('POST / HTTP/1.1\r\n\r\n');
        await received;
        const [timer, ...others] = server.timers;
        assert.deepEqual([timer?.ms, others.length], [2000, 0]);
        timer?.fire();
        await assertGone(server);
        socket.destroy();
      });

      for (const alertName of ['unrecognized_name', 'internal_error'] as const) {
        test(`refuses by ${alertName} where that is the choice`, async () => {
          await using server = await startServer({ select: () => ({ kind: 'refuse', alert: alertName }) });
          const { socket, received } = await connectRaw(server);
          socket.write(hello);
          assert.deepEqual(await received, alert(alertName === 'unrecognized_name' ? 112 : 80));
          socket.end();
          await assertGone(server);
          const { error } = await ask(server, client);
          assert.match(error?.code ?? '', /UNRECOGNIZED_NAME|ALERT_INTERNAL_ERROR/);
        });
      }

      test('shows a choice that a name is none', async () => {
        await using server = await startServer({
          select: ({ sni, sniInvalid }) => {
            assert.equal(sni, undefined);
            return sniInvalid ? { kind: 'refuse', alert: 'unrecognized_name' } : serve;
          },
        });
        for (const sni of ['a.example.org\0.evil.example', 'a'.repeat(300)]) {
          const { socket, received } = await connectRaw(server);
          socket.write(records(helloMessage(helloBody({ sni }))));
          assert.deepEqual(await received, alert(112));
          socket.end();
        }
        await assertGone(server);
      });

      const failing: Record<string, () => Selection<string> | Promise<Selection<string>>> = {
        throws: () => {
          throw new Error('the table is on fire');
        },
        rejects: () => Promise.reject(new Error('the table is on fire')),
      };
      for (const [how, select] of Object.entries(failing)) {
        test(`says internal_error where the choice ${how}`, async () => {
          await using server = await startServer({ select });
          const { socket, received } = await connectRaw(server);
          socket.write(hello);
          assert.deepEqual(await received, alert(80));
          assert.match(server.log.join('\n'), /tls:error.*the table is on fire/);
          socket.end();
          await assertGone(server);
        });
      }

      for (const late of [serve, { kind: 'refuse', alert: 'unrecognized_name' }] as const) {
        test(`forgets a client that goes while the choice is made: to ${late.kind}`, async () => {
          const { promise, resolve } = Promise.withResolvers<Selection<string>>();
          const asked = Promise.withResolvers<void>();
          await using server = await startServer({
            select: () => {
              asked.resolve();
              return promise;
            },
          });
          const { socket } = await connectRaw(server);
          socket.write(hello);
          await asked.promise;
          socket.resetAndDestroy();
          await server.idle();
          resolve(late);
          await promise;
          await new Promise((resolve) => setImmediate(resolve));
          await assertGone(server);
        });
      }

      test('ends who goes on without an answer while the choice is made', async () => {
        await using server = await startServer({ select: () => new Promise<never>(() => {}) });
        const { socket, received } = await connectRaw(server);
        socket.write(hello);
        socket.write(Buffer.alloc(256 * 1024));
        await received;
        await assertGone(server);
        assert.match(server.log.join('\n'), /goes on without an answer/);
        socket.destroy();
      });

      const stalled: Record<string, Buffer> = {
        'sends nothing': Buffer.alloc(0),
        'sends half a hello': hello.subarray(0, 40),
        'sends a hello and no more': hello,
      };
      for (const [what, send] of Object.entries(stalled)) {
        test(`ends a handshake that takes too long: the client ${what}`, async () => {
          const asked: Endpoints[] = [];
          await using server = await startServer({
            select,
            handshakeTimeout: (endpoints) => {
              asked.push(endpoints);
              return { initial: 1234, max: 0, minRate: 0 };
            },
          });
          const { socket, received } = await connectRaw(server);
          if (send.length > 0) socket.write(send);
          while (server.timers.size === 0) await new Promise((resolve) => setImmediate(resolve));
          const [timer] = server.timers;
          assert.equal(timer?.ms, 1234);
          assert.equal(asked[0]?.localPort, server.port);
          timer.fire();
          await received;
          await assertGone(server);
          assert.match(server.log.join('\n'), /not done within 1234 ms/);
          socket.destroy();
        });

        test(`forgets a client that ${what} and closes its side`, async () => {
          await using server = await startServer({ select });
          const { socket, received } = await connectRaw(server);
          socket.end(send);
          await received;
          await assertGone(server);
        });

        test(`forgets a client that ${what} and resets the connection`, async () => {
          await using server = await startServer({ select });
          const { socket } = await connectRaw(server);
          if (send.length > 0) await new Promise((resolve) => socket.write(send, resolve));
          socket.resetAndDestroy();
          await assertGone(server);
        });
      }

      const realHello = () => {
        const script = `require('tls').connect({ host: '127.0.0.1', port: process.argv[1] }).on('error', () => {})`;
        return captureHello(process.execPath, (port) => ['-e', script, port]);
      };

      /** Lets a handshake's time be over; gives how much longer it gets (ms), undefined where it is ended. */
      function timeIsUp(server: TestServer): number | undefined {
        const [timer] = server.timers;
        timer?.fire();
        const [next] = server.timers;
        return next === timer ? undefined : next?.ms;
      }

      async function arrived(server: TestServer, octets: number): Promise<void> {
        while (server.bytesRead() < octets) await new Promise((resolve) => setImmediate(resolve));
      }

      test('gives a handshake more time as octets arrive, before and after the hello, up to a maximum', async () => {
        const real = await realHello();
        const time = { initial: 5000, max: 20_000, minRate: 100 };
        await using server = await startServer({ select, handshakeTimeout: () => time });
        const { socket, received } = await connectRaw(server);
        socket.write(real.subarray(0, 200));
        await arrived(server, 200);
        assert.equal(timeIsUp(server), 2000);
        socket.write(real.subarray(200, 600));
        await arrived(server, 600);
        assert.equal(timeIsUp(server), 4000);
        socket.write(real.subarray(600));
        await once(socket, 'data');
        // A record that OpenSSL waits for the end of.
        socket.write(Buffer.concat([Buffer.from('16030303e8', 'hex'), Buffer.alloc(900)]));
        await arrived(server, real.length + 905);
        assert.equal(timeIsUp(server), 9000);
        assert.equal(timeIsUp(server), undefined);
        await received;
        await assertGone(server);
        assert.match(server.log.join('\n'), /not done within 20000 ms/);
        socket.destroy();
      });

      test('begins so many handshakes in a turn, lets some wait, and resets the others before anything is chosen', async () => {
        const seen = { chosen: 0, refused: 0 };
        const turns = new HandshakeQueue({ perTurn: 2, mostWaiting: 3, onRefused: () => seen.refused++ });
        await using server = await startServer({
          turns,
          select: () => {
            seen.chosen++;
            return serve;
          },
        });
        const peers = await Promise.all(Array.from({ length: 10 }, () => connectRaw(server)));
        while (server.acceptor.pending < 10) await new Promise((resolve) => setImmediate(resolve));
        const hellos = await realHello();
        // All of them are there when the server looks again.
        for (const { socket } of peers) socket.write(hellos);
        while (seen.chosen + seen.refused < 10) await new Promise((resolve) => setImmediate(resolve));
        assert.deepEqual(seen, { chosen: 5, refused: 5 });
        for (const { socket } of peers) socket.destroy();
        await assertGone(server);
        assert.equal((await ask(server, client)).error, undefined);
      });

      test('ends a handshake that stops in its middle, the keys half agreed', async () => {
        await using server = await startServer({ select });
        const real = await realHello();
        const { socket, received } = await connectRaw(server);
        socket.write(real);
        await once(socket, 'data');
        const [timer] = server.timers;
        timer?.fire();
        await received;
        await assertGone(server);
        socket.destroy();
      });
    });

    test('destroys what its owner could not take', async () => {
      await using server = await startServer({
        select,
        onSecure: () => {
          throw new Error('no room');
        },
      });
      const { received } = await ask(server, client);
      assert.equal(received, '');
      await assertGone(server);
      assert.match(server.log.join('\n'), /tls:error.*no room/);
    });

    test('that is closed ends unfinished handshakes, leaves secure connections, and takes none', async () => {
      await using server = await startServer({ select });
      const secure = connectTls({ ...client, host: '127.0.0.1', port: server.port });
      await once(secure, 'secureConnect');
      const { socket, received } = await connectRaw(server);
      socket.write(hello.subarray(0, 20));
      while (server.acceptor.pending === 0) await new Promise((resolve) => setImmediate(resolve));
      server.acceptor.close();
      assert.equal((await received).length, 0);
      assert.equal(server.acceptor.pending, 0);
      const late = await connectRaw(server);
      assert.equal((await late.received).length, 0);
      secure.write('GET / HTTP/1.0\r\n\r\n');
      const [answer] = (await once(secure, 'data')) as [Buffer];
      assert.match(answer.toString(), /^HTTP\/1\.1 200 /);
      for (const peer of [secure, socket, late.socket]) peer.destroy();
    });
  });

/** Passes on to `port` what it gets: the first octets one by one, each in a segment of its own. */
async function startRelay(port: number, slow: number): Promise<AsyncDisposable & { port: number }> {
  const pass = async (from: Socket) => {
    const to = connectTcp({ host: '127.0.0.1', port, noDelay: true });
    to.on('error', () => from.destroy());
    to.pipe(from);
    let left = slow;
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (const octet of chunk.subarray(0, left)) {
        await new Promise((resolve) => to.write(Buffer.of(octet), resolve));
      }
      to.write(chunk.subarray(left));
      left = Math.max(0, left - chunk.length);
    }
    to.end();
  };
  const relay = createServer((from) => void pass(from)).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  return {
    port: (relay.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      relay.close();
      await once(relay, 'close');
    },
  };
}
