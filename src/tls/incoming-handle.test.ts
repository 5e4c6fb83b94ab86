import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { suite, test, type TestContext } from 'node:test';
import { takeConnections, type IncomingHandle } from './incoming-handle.ts';

/** A server, a client of it, and the connection as the server has it. */
async function connected(
  t: TestContext,
  host = '127.0.0.1',
): Promise<{ client: Socket; connection: IncomingHandle }> {
  const server = createServer(() => assert.fail('the server has made a socket of it'));
  server.listen(0, host);
  await once(server, 'listening');
  const taken = Promise.withResolvers<IncomingHandle>();
  takeConnections(server, taken.resolve);
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
  const [connection] = await Promise.all([taken.promise, once(client, 'connect')]);
  t.after(async () => {
    client.destroy();
    connection.destroy();
    server.close();
    await once(server, 'close');
  });
  return { client, connection };
}

const closed = (connection: IncomingHandle) =>
  new Promise<void>((resolve) => {
    connection.onClose(resolve);
  });

suite('A connection without a socket', () => {
  test('is not known to a server that does not listen', () => {
    assert.throws(() => takeConnections(createServer(), () => {}), { code: 'tls-private-surface' });
  });

  for (const listened of ['127.0.0.1', '0.0.0.0'])
    test(`knows between whom it is, also when the client has gone, by a listener of ${listened}`, async (t) => {
      const { client, connection } = await connected(t, listened);
      const { address, port } = client.address() as AddressInfo;
      const { remotePort } = client;
      const expected = {
        localAddress: '127.0.0.1',
        localPort: remotePort,
        remoteAddress: address,
        remotePort: port,
      };
      assert.deepEqual(connection.endpoints, expected);
      const gone = closed(connection);
      connection.read((bytes) => bytes ?? connection.destroy());
      client.destroy();
      await gone;
      assert.equal(connection.closed, true);
      assert.deepEqual(connection.endpoints, expected);
    });

  test('gives what arrives, counts it, and says when the client sends no more', async (t) => {
    const { client, connection } = await connected(t);
    const got: string[] = [];
    const ended = new Promise<void>((resolve) => {
      connection.read((bytes) => (bytes ? got.push(String(bytes)) : resolve()));
    });
    client.end('what a client says');
    await ended;
    assert.equal(got.join(''), 'what a client says');
    assert.equal(connection.bytesRead, got.join('').length);
    assert.equal(connection.closed, false);
  });

  for (const end of ['destroy', 'reset'] as const) {
    test(`that is to ${end} is gone once, and says nothing more`, async (t) => {
      const { client, connection } = await connected(t);
      let calls = 0;
      connection.onClose(() => calls++);
      connection.read(() => assert.fail('something was read after the end'));
      const gone = closed(connection);
      const over = new Promise((resolve) => client.resume().once('close', resolve));
      connection[end]();
      assert.equal(connection.closed, true);
      client.write('too late');
      connection.destroy();
      connection.reset();
      await Promise.all([gone, over]);
      assert.equal(calls, 1);
    });
  }

  test('becomes a socket, which has what was not read yet, and whose end is the connection’s', async (t) => {
    const { client, connection } = await connected(t);
    client.end('a question');
    const gone = closed(connection);
    const socket = connection.toSocket();
    socket.allowHalfOpen = true;
    assert.equal(await text(socket), 'a question');
    socket.end('an answer');
    assert.equal(await text(client), 'an answer');
    await gone;
    assert.equal(connection.closed, true);
  });

  test('that has become a socket is destroyed with it', async (t) => {
    const { connection } = await connected(t);
    const socket = connection.toSocket();
    const gone = closed(connection);
    connection.destroy();
    await gone;
    assert.equal(socket.destroyed, true);
  });
});
