/** A worker or the engine dies under load: nobody suffers but the worker's own connections. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { TestServer, eventually, freePorts, missing, selfSigned, signal } from '../latchkey.testing.ts';
import { getPlain, getSecure, plain, server } from './faults.testing.ts';

const HELLO = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** A keep-alive connection that asks again and again until it is told to stop. */
class Load {
  answers = 0;
  failure: Error | undefined;
  readonly socket: Socket;
  #stopped = false;

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1' });
    this.socket.on('data', (chunk: Buffer) => {
      if (!chunk.includes('hello')) return;
      this.answers++;
      if (!this.#stopped) this.socket.write(HELLO);
    });
    this.socket.on('error', (error) => (this.failure ??= error));
    this.socket.on('close', () => {
      if (!this.#stopped) this.failure ??= new Error('closed');
    });
    this.socket.write(HELLO);
  }

  /** Fulfilled when `count` more requests have been answered. */
  async goesOn(count: number): Promise<void> {
    const enough = this.answers + count;
    await eventually('more answers', () => this.failure !== undefined || this.answers >= enough);
    assert.equal(this.failure, undefined);
  }

  stop(): void {
    this.#stopped = true;
    this.socket.destroy();
  }
}

/** Which process has the other end of a connection over the loopback. */
function serverOf(socket: Socket, pids: readonly number[]): number | undefined {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0');
  const inode = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(
      ([, local = '', remote = '']) =>
        local.endsWith(`:${hex(socket.remotePort ?? 0)}`) &&
        remote.endsWith(`:${hex(socket.localPort ?? 0)}`),
    )?.[9];
  return pids.find((pid) =>
    readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`),
  );
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

suite('kill -9 under load', { concurrency: 2 }, () => {
  test('of a worker ends its connections and no others, and another takes its place', async () => {
    const [port = 0] = await freePorts(1);
    await using one = new TestServer();
    one.write('htdocs/index.html', 'hello');
    one.configure(plain(port, 'Workers 2', 'MaxKeepAliveRequests 0'));
    await one.start();
    const { workers } = one.children();
    // Which worker gets a connection is the system's choice: until both have some.
    const loads: Load[] = [];
    const owners = new Map<Load, number | undefined>();
    await eventually('both workers to have connections', async () => {
      const load = new Load(port);
      loads.push(load);
      await load.goesOn(1);
      owners.set(load, serverOf(load.socket, workers));
      return new Set(owners.values()).size === 2;
    });

    const victim = owners.get(loads[0] as Load) ?? 0;
    signal(victim, 'SIGKILL');
    await eventually('its connections to end', () =>
      loads.every((load) => owners.get(load) !== victim || load.failure),
    );
    const others = loads.filter((load) => owners.get(load) !== victim);
    await Promise.all(others.map((load) => load.goesOn(20)));
    const fresh = new Load(port);
    await fresh.goesOn(5);
    await eventually('another worker', () => one.children().workers.length === 2);
    const after = one.children().workers;
    assert.deepEqual(
      after.filter((pid) => workers.includes(pid)),
      workers.filter((pid) => pid !== victim),
    );
    await Promise.all(others.map((load) => load.goesOn(20)));
    for (const load of [...loads, fresh]) load.stop();
    assert.match(one.log(), new RegExp(`AH00052: worker pid ${victim} has ended; starting another`));
  });

  const skip = missing('openssl') ?? false;
  test('of the engine fails no request, not even a host’s first', { skip }, async () => {
    const [http = 0, https = 0] = await freePorts(2);
    await using one = new TestServer();
    one.write('htdocs/index.html', 'hello');
    const names = Array.from({ length: 8 }, (_, n) => `host${n}.latchkey.test`);
    const hosts = names.map((name) => {
      const { cert, key } = selfSigned(one.dir, name);
      return `<VirtualHost *:${https}>\nServerName ${name}\nTLSCertificate ${cert} ${key}\n</VirtualHost>`;
    });
    one.configure(server({ http, https }, 'Workers 2', ...hosts));
    await one.start();
    const children = one.children();
    let asked = 0;
    const enough = new AbortController();
    const client = async () => {
      while (!enough.signal.aborted) {
        const answer = await getSecure(https, names[asked++ % 2] ?? '');
        assert.deepEqual([answer.status, answer.body], [200, 'hello']);
      }
    };
    const clients = Promise.all([client(), client()]);
    await Promise.race([clients, eventually('load', () => asked > 20)]);
    const [engine = 0] = children.engine;
    signal(engine, 'SIGKILL');
    // Hosts whose certificates no worker has used so far, while there is no engine and after.
    for (const name of names.slice(2)) assert.equal((await getSecure(https, name)).body, 'hello');
    await Promise.race([clients, eventually('another engine', () => one.status())]);
    const before = asked;
    await Promise.race([clients, eventually('more requests', () => asked > before + 20)]);
    enough.abort();
    await clients;
    assert.notEqual(one.children().engine[0], engine);
    assert.deepEqual(one.children().workers, children.workers);
  });

  test('of everything but the supervisor ends in a server that serves', async () => {
    const [port = 0] = await freePorts(1);
    await using one = new TestServer();
    one.write('htdocs/index.html', 'hello');
    one.configure(plain(port, 'Workers 2', 'MaxKeepAliveRequests 0'));
    await one.start();
    const { engine, workers } = one.children();
    for (const pid of [...engine, ...workers]) signal(pid, 'SIGKILL');
    await eventually('all to be replaced', () => {
      const now = one.children();
      return now.engine.length === 1 && now.workers.length === 2 && now.engine[0] !== engine[0];
    });
    await eventually('a status', () => one.status());
    await eventually('an answer', () => getPlain(port, 'localhost'));
    const load = new Load(port);
    await load.goesOn(3);
    load.stop();
  });
});
