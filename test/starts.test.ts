/** What a start says, where it works and where it doesn't. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, watch } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { binary, eventually, freePorts, run, TestServer } from './latchkey.testing.ts';

const notRoot = process.getuid?.() !== 0 && 'only root has rights to drop';

async function prepared(...lines: string[]): Promise<TestServer> {
  const [port = 0] = await freePorts(1);
  const server = new TestServer();
  server.configure([`Listen 127.0.0.1:${port}`, 'Workers 1', ...lines, ''].join('\n'));
  return server;
}

async function refused(server: TestServer): Promise<string> {
  const { code, stdout, stderr } = await server.run('-k', 'start');
  assert.deepEqual([code, stdout], [1, ''], stderr);
  assert.deepEqual(server.processes(), []);
  return stderr;
}

suite('a start', { concurrency: 2 }, () => {
  test('as root warns where no User is configured to drop its rights to', { skip: notRoot }, async () => {
    await using server = await prepared();
    await server.start();
    assert.match(server.log(), /core:warn.*as root.*User www-data/);
    await server.stop();
    await using other = await prepared('User daemon');
    await other.start();
    assert.doesNotMatch(other.log(), /as root/);
  });

  test('that is refused says what else was odd', async () => {
    await using server = await prepared('ServerAdmin ${NOT_THERE}', 'Nonsense');
    const said =
      /^\[core:warn\] Config variable \$\{NOT_THERE\} is not defined \(\S+:3\)\nAH00526: Syntax error on line 4 /;
    assert.match(await refused(server), said);
    assert.match((await server.run('-t')).stderr, said);
  });

  test('whose caller goes before it serves ends with it', async () => {
    await using server = await prepared();
    await using predecessor = await prepared();
    await predecessor.start();
    // A predecessor that is stopping is waited for: long enough for its caller to lose patience.
    const { pid } = predecessor;
    server.write('logs/httpd.pid', `${pid}\nstopping\n`);
    const { promise: claimed, resolve } = Promise.withResolvers<void>();
    const watcher = watch(join(server.dir, 'logs'));
    watcher.on('change', (_, name) => {
      if (/^httpd\.pid\.\d+$/.test(String(name))) resolve();
    });
    const start = spawn(binary, ['-d', server.dir, '-f', 'httpd.conf', '-k', 'start'], {
      env: server.env,
      stdio: 'ignore',
    });
    // It tries to claim the PidFile.
    await claimed;
    start.kill('SIGKILL');
    watcher.close();
    await eventually('its end', () => server.processes().length === 0);
  });

  test('as a user who may not is refused with what to do, and so is a stop', { skip: notRoot }, async () => {
    await using server = await prepared();
    chmodSync(server.dir, 0o755);
    server.write('logs/error_log', '');
    const asNobody = (action: string) =>
      run('setpriv', [
        '--reuid=65534',
        '--clear-groups',
        binary,
        '-d',
        server.dir,
        '-f',
        'httpd.conf',
        '-k',
        action,
      ]);
    assert.match(
      (await asNobody('start')).stderr,
      /^PidFile: cannot write \S+httpd\.pid: .*EACCES.*; start as root/,
    );
    await server.start();
    assert.match((await asNobody('start')).stdout, /already running/);
    for (const action of ['stop', 'graceful']) {
      assert.match((await asNobody(action)).stderr, /belongs to another user: try as root/);
    }
  });

  test('names the directive of a folder that it cannot have', async () => {
    await using server = await prepared('MDStoreDir file', 'MDomain a.test');
    server.write('file', 'not a folder');
    assert.match(await refused(server), /^MDStoreDir: cannot make the folder \S+\/file: .*not a folder/);
    await using second = await prepared('PidFile file/httpd.pid');
    second.write('file', 'not a folder');
    assert.match(await refused(second), /^PidFile: cannot make the folder \S+\/file: .*not a folder/);
    await using third = await prepared();
    const file = third.write('file', 'not a folder');
    const { code, stderr } = await third.latchkey('-d', file, '-f', 'httpd.conf', '-k', 'start');
    assert.equal(code, 1);
    assert.match(stderr, /not a folder/);
    assert.match(stderr, /ServerRoot|-d/);
  });
});
