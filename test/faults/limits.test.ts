/** Clients that want too much: they are turned away before anything is done for them, and nobody else is. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request as plainRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { connect as connectSecure } from 'node:tls';
import { text } from 'node:stream/consumers';
import { captureHello } from '../../src/tls/hello.testing.ts';
import { TestServer, eventually, freePorts, missing, selfSigned, signal } from '../latchkey.testing.ts';
import { getPlain, getSecure, server } from './faults.testing.ts';

const NAME = 'a.latchkey.test';
const skip = missing('openssl') ?? false;

let one: TestServer;
let http = 0;
let https = 0;
let workers: readonly number[];

before(async () => {
  if (skip) return;
  [http = 0, https = 0] = await freePorts(2);
  one = new TestServer();
  one.write('htdocs/index.html', 'hello');
  const { cert, key } = selfSigned(one.dir, NAME);
  one.configure(
    server(
      { http, https },
      'Workers 1',
      'KeepAliveTimeout 60',
      'ClientConnections 50',
      'ClientHandshakes 1 5',
      'ClientLimitsExempt 127.0.0.1 127.0.0.9',
      '<Location /metrics>\nSetHandler latchkey-metrics\nRequire all granted\n</Location>',
      `<VirtualHost *:${http} *:${https}>`,
      `ServerName ${NAME}`,
      `TLSCertificate ${cert} ${key}`,
      '</VirtualHost>',
    ),
  );
  await one.start();
  ({ workers } = one.children());
});

after(async () => {
  await one?.[Symbol.asyncDispose]();
});

/** A connection from one of this machine's addresses; it says nothing. */
async function open(port: number, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Whether a connection is served a page, or reset. */
async function isServed(localAddress: string): Promise<boolean> {
  const socket = connect({ port: http, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  socket.write(`GET / HTTP/1.0\r\nHost: ${NAME}\r\n\r\n`);
  const answer = await text(socket).catch(() => '');
  return answer.startsWith('HTTP/1.1 200');
}

async function shakesHands(localAddress: string): Promise<boolean> {
  const tcp = connect({ port: https, host: '127.0.0.1', localAddress });
  const socket = connectSecure({ socket: tcp, servername: NAME, rejectUnauthorized: false });
  const outcome = await Promise.race([
    once(socket, 'secureConnect').then(() => true),
    once(socket, 'close').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return outcome;
}

async function metric(name: string): Promise<number> {
  const { body } = await getPlain(http, NAME, '/metrics');
  return Number(
    body
      .split('\n')
      .find((line) => line.startsWith(name))
      ?.split(' ')[1],
  );
}

const refused = (reason: string) =>
  metric(`latchkey_connections_refused_total{worker="1",reason="${reason}"}`);

/** How often the log has begun to tell of refused connections so. */
const told = (why: RegExp) =>
  one.log().match(new RegExp(`connections are refused: ${why.source}`, 'g'))?.length;

suite('A client', { skip }, () => {
  test('has as many connections as ClientConnections allows, and others are served meanwhile', async () => {
    const taken = await Promise.all(Array.from({ length: 50 }, () => open(http, '127.0.0.2')));
    for (let n = 0; n < 20; n++) assert.equal(await isServed('127.0.0.2'), false);
    assert.equal(await isServed('127.0.0.3'), true);
    assert.equal(await refused('connections'), 20);
    taken[0]?.destroy();
    await eventually('a connection to be free', () => isServed('127.0.0.2'));
    for (const socket of taken) socket.destroy();
    await eventually('the log to say so', () => told(/127\.0\.0\.2 has as many open/) === 1);
    assert.match((await one.run('status')).stdout, /^warning: .* \d+ by ClientConnections/m);
  });

  test('begins as many handshakes as ClientHandshakes allows, and others are served meanwhile', async () => {
    const shaken = await Promise.all(Array.from({ length: 40 }, () => shakesHands('127.0.0.2')));
    const failed = shaken.filter((done) => !done).length;
    assert.ok(failed > 0 && failed <= 35, `${failed}`);
    assert.equal(await shakesHands('127.0.0.3'), true);
    const exempt = await Promise.all(Array.from({ length: 20 }, () => shakesHands('127.0.0.9')));
    assert.ok(exempt.every(Boolean));
    assert.equal(await refused('handshakes'), failed);
  });
});

/** Has a worker find all of it at once. */
async function atOnce(worker: number, act: () => void): Promise<void> {
  signal(worker, 'SIGSTOP');
  await eventually('the worker to stand still', () =>
    readFileSync(`/proc/${worker}/stat`, 'utf8').includes(') T '),
  );
  act();
  signal(worker, 'SIGCONT');
}

test(
  'of a crowd of handshakes some wait, the rest is turned away, and who was there goes on',
  { skip },
  async () => {
    const [worker = 0] = workers;
    const script = `require('tls').connect({ host: '127.0.0.1', port: process.argv[1], servername: '${NAME}' }).on('error', () => {})`;
    const hello = await captureHello(process.execPath, (port) => ['-e', script, port]);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const again = async () => {
      const asking = plainRequest({ port: http, host: '127.0.0.1', headers: { host: NAME }, agent });
      const [response] = await once(asking.end(), 'response');
      await text(response);
      return asking.reusedSocket;
    };
    await again();
    const crowd: Socket[] = [];
    while (crowd.length < 2400) {
      crowd.push(...(await Promise.all(Array.from({ length: 100 }, () => open(https)))));
    }
    await eventually('all to be accepted', async () => (await metric('latchkey_handshakes{')) >= 2400);
    await atOnce(worker, () => {
      for (const socket of crowd) socket.write(hello);
    });
    assert.equal(await again(), true);
    assert.equal((await getSecure(https, NAME)).body, 'hello');
    const turnedAway = await refused('overload');
    assert.ok(turnedAway > 0 && turnedAway <= 400, `${turnedAway}`);
    await eventually('those to be told of once', () => told(/more handshakes wait/) === 1);
    for (const socket of crowd) socket.destroy();
    agent.destroy();
    assert.deepEqual(one.children().workers, workers);
  },
);
