import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { claimPidFile, isAlive, markRunning, markStopping, removePidFile, runningServer } from './pidfile.ts';

/** What makes a process look like a Latchkey: this in its command line. */
const LIKENESS = fileURLToPath(new URL('supervisor/main.ts', import.meta.url));

function pidFile(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-pid-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'httpd.pid');
}

/** A process that waits, with `argument` in its command line. */
async function waiting(t: TestContext, argument: string): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log()', argument]);
  t.after(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}

suite('a PidFile', () => {
  test('speaks of a server that lives, and tells one that is stopping', async (t) => {
    const file = pidFile(t);
    const pid = await waiting(t, LIKENESS);
    writeFileSync(file, `${pid}\n`);
    assert.deepEqual(runningServer(file), { pid, state: 'running' });
    writeFileSync(file, `${pid}\nstopping\n`);
    assert.deepEqual(runningServer(file), { pid, state: 'stopping' });
  });

  test('whose pid is another program’s by now speaks of no server', async (t) => {
    const file = pidFile(t);
    writeFileSync(file, `${await waiting(t, 'another')}\n`);
    assert.equal(runningServer(file), undefined);
  });

  for (const content of ['', '\n', 'garbage\n', '0\n', '1\n', '-1\n', '2.5\n', '99999999999\n', '\0\0\0\0']) {
    test(`with ${JSON.stringify(content)} in it speaks of no server`, (t) => {
      const file = pidFile(t);
      writeFileSync(file, content);
      assert.equal(runningServer(file), undefined);
    });
  }

  test('that is missing, or a folder, speaks of no server', (t) => {
    const file = pidFile(t);
    assert.equal(runningServer(file), undefined);
    assert.equal(runningServer(join(file, '..')), undefined);
  });

  test('is claimed where it is stale, and not from a server that lives', async (t) => {
    const file = pidFile(t);
    const pid = await waiting(t, LIKENESS);
    writeFileSync(file, `${pid}\nstarting\n`);
    assert.equal(claimPidFile(file), false);
    assert.deepEqual(runningServer(file), { pid, state: 'starting' });
    process.kill(pid, 'SIGKILL');
    while (isAlive(pid)) await new Promise(setImmediate);
    assert.equal(claimPidFile(file), true);
    assert.deepEqual(readdirSync(join(file, '..')), ['httpd.pid']);
  });

  test('is claimed by one of many at once', async (t) => {
    const file = pidFile(t);
    writeFileSync(file, '99999999\n');
    const program = `
      import { claimPidFile } from '${new URL('pidfile.ts', import.meta.url).href}';
      process.stdin.once('data', () => console.log(claimPidFile(process.argv[1])));
      console.log('ready');
      setInterval(() => {}, 1000);`;
    const all = Array.from({ length: 6 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', program, file, LIKENESS]),
    );
    t.after(() => all.forEach((child) => child.kill('SIGKILL')));
    await Promise.all(all.map((child) => once(child.stdout, 'data')));
    const said = all.map((child) => once(child.stdout, 'data'));
    for (const child of all) child.stdin.write('go');
    const claimed = (await Promise.all(said)).map(([answer]) => String(answer).trim() === 'true');
    assert.equal(claimed.filter(Boolean).length, 1);
    assert.equal(readFileSync(file, 'utf8'), `${all[claimed.indexOf(true)]?.pid}\nstarting\n`);
  });

  test('is marked and removed by the process that it speaks of, and by no other', (t) => {
    const file = pidFile(t);
    assert.equal(claimPidFile(file), true);
    assert.equal(readFileSync(file, 'utf8'), `${process.pid}\nstarting\n`);
    markRunning(file);
    assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`);
    markStopping(file);
    assert.equal(readFileSync(file, 'utf8'), `${process.pid}\nstopping\n`);
    removePidFile(file);
    assert.equal(existsSync(file), false);

    writeFileSync(file, `${process.pid}0\n`);
    markStopping(file);
    removePidFile(file);
    assert.equal(readFileSync(file, 'utf8'), `${process.pid}0\n`);
  });
});

test('a process that has ended is not alive, even where its parent does not take notice', async (t) => {
  // The shell becomes `sleep`, which never asks after the child that the shell had.
  const parent = spawn('sh', ['-c', 'sleep 600 & echo $!; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(() => parent.kill('SIGKILL'));
  const [said] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(said.toString());
  assert.ok(pid > 1);
  assert.equal(isAlive(pid), true);
  process.kill(pid, 'SIGKILL');
  while (isRunning(pid)) await new Promise(setImmediate);
  assert.equal(isAlive(pid), false);
  assert.equal(isAlive(parent.pid ?? 0), true);
  assert.equal(isAlive(process.pid), true);
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
