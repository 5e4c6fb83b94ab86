import assert from 'node:assert/strict';
import { chmodSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import { test } from 'node:test';
import { TestServer, eventually, freePorts } from './latchkey.testing.ts';

test('scripts end with the server', async () => {
  await using server = new TestServer();
  const [port = 0] = await freePorts(1);
  server.configure(`Listen 127.0.0.1:${port}\nWorkers 1\nServerName a.test\nScriptAlias /cgi/ cgi/\n`);
  chmodSync(server.write('cgi/sleep.sh', `#!/bin/sh\necho $$ > ${server.dir}/pid\nexec sleep 1000\n`), 0o755);
  await server.start();
  get({ port, path: '/cgi/sleep.sh' }).on('error', () => {});
  const pid = await eventually('the script', () => Number(server.read('pid')));
  assert.ok(lives(pid));
  await server.stop();
  await eventually('the end of the script', () => !lives(pid));
});

/** Neither gone nor only waiting for its parent to notice. */
function lives(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
  } catch {
    return false;
  }
}
