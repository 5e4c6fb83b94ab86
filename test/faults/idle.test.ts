/** Ten thousand clients that do nothing, and a limit of open files that is too low for a hundred. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import { connect as connectSecure } from 'node:tls';
import { TestServer, eventually, freePorts, missing, run, selfSigned, binary } from '../latchkey.testing.ts';
import { getPlain, getSecure, plain, server } from './faults.testing.ts';

const NAME = 'a.latchkey.test';
/** Of ten thousand idle connections so many have done a handshake and a request; the others only began. */
const SECURE = 400;
const ALL = 10_000;
const AT_ONCE = 100;
/** MB that a worker's young generation and these connections may take: a second ten thousand takes no more. */
const GROWTH = 250;

const openFiles = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
const megabytes = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
const total = (pids: readonly number[], count: (pid: number) => number) =>
  pids.reduce((sum, pid) => sum + count(pid), 0);

/** ms of processor time so far. */
function cpu(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function begun(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  await once(socket, 'connect');
  // The beginning of a ClientHello.
  socket.write(Buffer.from('16030102000100', 'hex'));
  return socket;
}

async function secured(port: number): Promise<Socket> {
  const socket = connectSecure({ port, host: '127.0.0.1', servername: NAME, rejectUnauthorized: false });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  socket.write(`GET / HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`);
  await once(socket, 'data');
  return socket;
}

async function several(count: number, open: () => Promise<Socket>): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    sockets.push(...(await Promise.all(Array.from({ length: AT_ONCE }, open))));
  }
  return sockets;
}

const limit = Number(
  /^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity,
);
const skip =
  missing('openssl') ?? (limit < 1.2 * ALL ? `no more than ${limit} open files are allowed here` : false);

test(
  'ten thousand idle connections keep nobody from being served, and leave nothing behind',
  { skip },
  async () => {
    await using one = new TestServer();
    const [http = 0, https = 0] = await freePorts(2);
    one.write('htdocs/index.html', 'hello');
    const { cert, key } = selfSigned(one.dir, NAME);
    one.configure(
      server(
        { http, https },
        'Workers 2',
        'KeepAliveTimeout 600',
        'Timeout 600',
        `<VirtualHost *:${https}>\nServerName ${NAME}\nTLSCertificate ${cert} ${key}\n</VirtualHost>`,
      ),
    );
    await one.start();
    const { workers } = one.children();
    await several(100, () => secured(https)).then((sockets) => sockets.forEach((socket) => socket.destroy()));
    const before = { memory: total(workers, megabytes), files: total(workers, openFiles) };
    const idle = [
      ...(await several(SECURE, () => secured(https))),
      ...(await several(ALL - SECURE, () => begun(https))),
    ];
    await eventually('all to be accepted', () => total(workers, openFiles) >= ALL);
    assert.equal((await getSecure(https, NAME)).body, 'hello');
    assert.ok(idle.every((socket) => !socket.closed));
    for (const socket of idle) socket.destroy();
    await eventually('their descriptors to be free', () => total(workers, openFiles) <= before.files + 10);
    assert.ok(total(workers, megabytes) < before.memory + workers.length * GROWTH);
    assert.equal((await getSecure(https, NAME)).body, 'hello');
    assert.deepEqual(one.children().workers, workers);
  },
);

test('without descriptors a worker says so, keeps those it has, and does not spin', async () => {
  await using one = new TestServer();
  const [http = 0] = await freePorts(1);
  one.write('htdocs/index.html', 'hello');
  one.configure(plain(http, 'RequestReadTimeout header=0'));
  const started = await run(
    '/bin/sh',
    ['-c', 'ulimit -n 100; exec "$0" "$@"', binary, '-d', one.dir, '-f', 'httpd.conf', '-k', 'start'],
    { env: one.env },
  );
  assert.equal(started.code, 0, started.stderr);
  const [worker = 0] = one.children().workers;
  const first = await begun(http);
  const many = await several(200, () => begun(http));
  await eventually('the log to say so', () => /limit of open files \(100\); raise it/.test(one.log()));
  const before = cpu(worker);
  await delay(1000);
  assert.ok(cpu(worker) - before < 500, `${cpu(worker) - before} ms of a second`);
  assert.ok(!first.closed);
  for (const socket of many) socket.destroy();
  await eventually('connections to be taken again', async () => (await getPlain(http, NAME)).status === 200);
  first.destroy();
  assert.deepEqual(one.children().workers, [worker]);
});
