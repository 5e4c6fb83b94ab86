import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';

/** What becomes of a worker that may bind port 0 and evaluates `body` (`listen(…)` says `bound` or a code). */
function outcome(t: TestContext, body: (dir: string) => string): { said: string; dir: string } {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-binding-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const program = join(dir, 'program.mjs');
  writeFileSync(
    program,
    `import cluster from 'node:cluster';
     import net from 'node:net';
     import { guardBinding } from '${new URL('binding.ts', import.meta.url).href}';
     const listen = (options) => new Promise((resolve) => {
       net.createServer().on('error', ({ code }) => resolve(code)).listen(options, () => resolve('bound'));
     });
     if (cluster.isPrimary) {
       cluster.schedulingPolicy = cluster.SCHED_NONE;
       cluster.setupPrimary({ serialization: 'advanced' });
       const worker = cluster.fork();
       guardBinding(worker.process, () => new Set([0]));
       worker.on('exit', (code, signal) => console.log(signal ?? code));
     } else {
       ${body(dir)}
       process.exit();
     }`,
  );
  const { stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8', timeout: 20_000 });
  return { said: stdout.trim() || stderr, dir };
}

suite('a worker', () => {
  test('binds the ports of the configuration, with and without an address', (t) => {
    const { said } = outcome(
      t,
      () => `console.log(await listen({ port: 0, host: '127.0.0.1' }), await listen({ port: 0 }));`,
    );
    assert.equal(said, 'bound bound\n0');
  });

  const forbidden: Record<string, (dir: string) => string> = {
    'another port': () => `{ port: 47113, host: '127.0.0.1' }`,
    'a Unix socket': (dir) => `{ path: '${dir}/planted.sock' }`,
    'a descriptor of the supervisor': () => `{ fd: 0 }`,
  };
  for (const [what, options] of Object.entries(forbidden)) {
    test(`that asks for ${what} is ended`, (t) => {
      const { said, dir } = outcome(t, (at) => `console.log(await listen(${options(at)}));`);
      assert.equal(said, 'SIGKILL');
      assert.equal(existsSync(join(dir, 'planted.sock')), false);
    });
  }

  const crafted: Record<string, string> = {
    'an acknowledgement of nothing': `{ cmd: 'NODE_HANDLE_ACK' }`,
    'a refusal of nothing': `{ cmd: 'NODE_HANDLE_NACK' }`,
    'a handle without a handle': `{ cmd: 'NODE_HANDLE', type: 'net.Nonsense' }`,
    'an address that is none': `{ cmd: 'NODE_CLUSTER', act: 'queryServer', addressType: 4, port: 0, index: 0, address: { toString: 1 } }`,
    'an act that is none': `{ cmd: 'NODE_CLUSTER', act: '__defineGetter__' }`,
    'an act without a name': `{ cmd: 'NODE_CLUSTER', act: { toString: 1 } }`,
  };
  for (const [what, message] of Object.entries(crafted)) {
    test(`that sends ${what} ends nobody but itself`, (t) => {
      const { said } = outcome(
        t,
        () => `process.send(${message}); setInterval(() => {}, 1000); await new Promise(() => {});`,
      );
      assert.equal(said, 'SIGKILL');
    });
  }
});
