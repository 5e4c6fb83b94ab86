import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { suite, test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect, createServer, TLSSocket } from 'node:tls';
import { createAuthority } from '../certificates/credentials.testing.ts';
import { factsOf } from './facts.ts';
import type { TlsFacts } from './facts.ts';
import { modernPolicy } from './policy.ts';

suite('What is known of a connection', async () => {
  const { chainPem: cert, keyPem: key } = await (await createAuthority()).issue(['a.example.org']);

  /** The server's end of one. */
  async function connection(t: TestContext): Promise<TLSSocket> {
    const server = createServer({
      cert,
      key,
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const secured = once(server, 'secureConnection');
    const client = connect({ port: (server.address() as AddressInfo).port, rejectUnauthorized: false });
    client.on('error', () => {});
    t.after(() => {
      client.destroy();
      server.close();
    });
    const [socket] = await secured;
    assert.ok(socket instanceof TLSSocket);
    return socket;
  }

  const hello = { secureRenegotiation: true };
  const agreed = { protocol: 'TLSv1.2', cipher: 'ECDHE-ECDSA-AES128-GCM-SHA256', resumed: false };

  const agreedIn = ({ protocol, cipher, resumed }: TlsFacts) => ({ protocol, cipher, resumed });

  test('is asked of OpenSSL when somebody wants to know', async (t) => {
    const socket = await connection(t);
    const facts = factsOf(socket, hello, 'openssl', modernPolicy);
    assert.deepEqual(agreedIn(facts), agreed);
    assert.equal(
      factsOf(socket, hello, 'iana', modernPolicy).cipher,
      'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
    );
    socket.destroy();
    assert.deepEqual(agreedIn(facts), agreed);
  });

  test('is known when the connection is gone, if it was to be kept', async (t) => {
    const socket = await connection(t);
    const [kept, forgotten] = [0, 1].map(() => factsOf(socket, hello, 'openssl', modernPolicy));
    kept?.keep?.();
    socket.destroy();
    assert.deepEqual(kept && agreedIn(kept), agreed);
    assert.deepEqual(forgotten && agreedIn(forgotten), { protocol: '', cipher: '', resumed: false });
  });
});
