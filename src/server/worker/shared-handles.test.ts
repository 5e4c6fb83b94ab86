import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

test('a worker asks for an address that is taken as often as it likes, and has it when it is free', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-handles-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const program = join(dir, 'program.mjs');
  writeFileSync(
    program,
    `import cluster from 'node:cluster';
     import net from 'node:net';
     import { closeUnboundHandles } from '${new URL('shared-handles.ts', import.meta.url).href}';
     const listen = (port) => new Promise((resolve) => {
       const server = net.createServer();
       server.on('error', ({ code }) => resolve(code));
       server.listen(port, '127.0.0.1', () => resolve('bound'));
     });
     if (cluster.isPrimary) {
       cluster.schedulingPolicy = cluster.SCHED_NONE;
       const stranger = net.createServer().listen(0, '127.0.0.1', () => {
         const worker = cluster.fork();
         worker.on('message', () => stranger.close(() => worker.send('free')));
         worker.on('online', () => worker.send(stranger.address().port));
         worker.on('exit', (code, signal) => console.log(signal ?? code));
       });
     } else {
       closeUnboundHandles();
       process.once('message', async (port) => {
         console.log(await listen(port), await listen(port));
         process.once('message', async () => {
           console.log(await listen(port));
           process.exit();
         });
         process.send('now');
       });
     }`,
  );
  const { stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8', timeout: 20_000 });
  assert.equal(stdout, 'EADDRINUSE EADDRINUSE\nbound\n0\n', stderr);
});
