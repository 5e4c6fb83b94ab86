/** Certificates by name while processes die, the table is full, and the store's own name doesn't resolve. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { dynamicServer, type DynamicServer } from '../dynssl.testing.ts';
import { binary, eventually, missing, type Outcome, run, signal } from '../latchkey.testing.ts';

/** Starts it where `mounts`, a shell script, has changed the filesystem for it alone; 77 is its way to say it can't. */
function startAmong({ server }: DynamicServer, mounts: string): Promise<Outcome> {
  const start = [binary, '-d', server.dir, '-f', 'httpd.conf', '-k', 'start'];
  return run('unshare', ['-m', 'sh', '-c', `${mounts} || exit 77; exec "$0" "$@"`, ...start], {
    env: server.env,
  });
}

suite('certificates by name', { skip: missing('openssl', 'unshare') }, () => {
  test('end with a supervisor that is killed in the middle of a fetch, and are there at the next start', async () => {
    await using at = await dynamicServer();
    const known = await at.issue('known.example');
    const cold = await at.issue('cold.example');
    await at.server.start();
    assert.equal((await at.shown('known.example')).serial, known);
    let silent = true;
    at.store.behaviour = (request, response, name) => {
      if (!silent) at.store.answer(request, response, name);
    };
    const waiting = at.shown('cold.example').catch(() => undefined);
    await eventually('the question', () => at.store.names().includes('cold.example'));
    signal(at.server.pid, 'SIGKILL');
    assert.notEqual((await waiting)?.serial, cold);
    await eventually('the end of all', () => at.server.processes().length === 0);
    silent = false;
    await at.server.start();
    assert.equal((await at.shown('cold.example')).serial, cold);
    assert.equal((await at.shown('known.example')).serial, known);
  });

  test('are served where the table is full, each name with its own', async (t) => {
    await using at = await dynamicServer();
    const serials = new Map<string, string>();
    for (let n = 0; n < 30; n++) serials.set(`a${n}.example`, await at.issue(`a${n}.example`));
    const started = await startAmong(at, 'mount -t tmpfs -o size=4m tmpfs /dev/shm');
    if (started.code === 77) return t.skip('no tmpfs can be mounted here');
    assert.equal(started.code, 0, started.stderr);
    assert.equal((await at.shown('a0.example')).serial, serials.get('a0.example'));
    const filler = `/proc/${at.server.pid}/root/dev/shm/filler`;
    assert.throws(() => writeFileSync(filler, Buffer.alloc(4 * 2 ** 20)), { code: 'ENOSPC' });
    for (const round of [1, 2]) {
      for (const [name, serial] of serials) {
        assert.equal((await at.shown(name)).serial, serial, `${name} in round ${round}`);
      }
    }
    assert.equal((await at.shown('unknown.example')).subject, 'localhost');
    assert.equal(await at.post('/dynssl-flush/all'), '200 flushed: all\n');
    const renewed = await at.issue('a0.example');
    assert.equal(await at.post('/dynssl-flush/a0.example'), '200 flushed: a0.example\n');
    for (let n = 0; n < 4; n++) assert.equal((await at.shown('a0.example')).serial, renewed);
    rmSync(filler);
    assert.equal((await at.shown('a1.example')).serial, serials.get('a1.example'));
  });

  test('fall back where looking up the store’s own name hangs, and nothing else does', async (t) => {
    // Takes every question and answers none.
    const nameserver = createSocket('udp4');
    const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
    nameserver.bind({ address, port: 53 });
    t.after(() => nameserver.close());
    try {
      await once(nameserver, 'listening');
    } catch {
      return t.skip('port 53 is for root');
    }
    let questions = 0;
    nameserver.on('message', () => questions++);
    await using at = await dynamicServer({
      directives: 'DynSSLStoreURL http://store.latchkey.test/certs\nDynSSLTimeout 200',
    });
    const resolver = at.server.write('resolv.conf', `nameserver ${address}\n`);
    const started = await startAmong(at, `mount --bind ${resolver} /etc/resolv.conf`);
    if (started.code === 77) return t.skip('nothing can be mounted here');
    assert.equal(started.code, 0, started.stderr);
    const all = Array.from({ length: 20 }, (_, n) => at.shown(`a${n}.example`));
    for (const { subject } of await Promise.all(all)) assert.equal(subject, 'localhost');
    assert.ok(questions > 0);
    assert.match(await at.get('/dynssl-status'), /status {5}: open/);
    assert.equal((await at.server.run('status')).code, 0);
    await eventually('the log', () => /did not answer within 200 ms/.test(at.server.log()));
    // Its end would wait for the look-up.
    at.server.kill();
  });
});
