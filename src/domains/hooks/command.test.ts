import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from './command.ts';

interface Script {
  readonly file: string;
  readonly folder: string;
}

async function script(t: TestContext, text: string): Promise<Script> {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-command-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'script');
  await writeFile(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return { file, folder };
}

/** Other processes tell nobody of what they have done. */
async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await done())) await delay(10);
}

/** Whether a process runs: neither gone nor a zombie that nobody has waited for yet. */
async function runs(pid: string): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return status !== '' && !status.includes(') Z ');
}

suite('a command', () => {
  test('gets its arguments as they are, no shell in between', async (t) => {
    const { file, folder } = await script(t, 'printf "%s\\n" "$@" >"$1"');
    const out = join(folder, 'out');
    assert.equal(await runCommand([file, out, '$(touch x); `id`', '-n *']), undefined);
    assert.equal(await readFile(out, 'utf8'), `${out}\n$(touch x); \`id\`\n-n *\n`);
  });

  test('that fails is told with its code and what it said, on one line', async (t) => {
    const { file } = await script(t, 'echo one; printf "two\\033[1m\\n\\tthree\\n" >&2; exit 3');
    assert.match(
      (await runCommand([file])) ?? '',
      /^ended with exit code 3: (one|two \[1m three) (one|two.*)$/,
    );
    const { file: silent } = await script(t, 'exit 1');
    assert.equal(await runCommand([silent]), 'ended with exit code 1');
  });

  test('that is killed is told with the signal', async (t) => {
    const { file } = await script(t, 'kill -TERM $$');
    assert.equal(await runCommand([file]), 'ended with SIGTERM');
  });

  test('that talks without end is told by its last words', async (t) => {
    const { file } = await script(t, 'head -c 5000000 /dev/zero | tr "\\0" x; echo the end >&2; exit 1');
    const failure = (await runCommand([file])) ?? '';
    assert.match(failure, /^ended with exit code 1: …/);
    assert.ok(failure.length < 1100, `${failure.length} characters`);
  });

  test('that there is not, or that is not executable, is told', async (t) => {
    assert.equal(
      await runCommand(['/nonexistent/command', 'setup']),
      'could not be run: spawn /nonexistent/command ENOENT',
    );
    const { file } = await script(t, '');
    await chmod(file, 0o644);
    assert.equal(await runCommand([file]), `could not be run: spawn ${file} EACCES`);
  });

  test('that hangs is killed with all that it has started', async (t) => {
    const { file, folder } = await script(
      t,
      `sleep 1000 & echo $! >"$(dirname "$0")/pid"; echo waiting; wait`,
    );
    const failure = await runCommand([file], { limit: 2000 });
    assert.equal(failure, 'did not end within 2 s and was killed: waiting');
    const pid = (await readFile(join(folder, 'pid'), 'utf8')).trim();
    await until(async () => !(await runs(pid)));
  });

  test('that is no longer wanted is killed, with the reason', async (t) => {
    const { file, folder } = await script(
      t,
      'echo $$ >"$(dirname "$0")/pid.new"; mv "$(dirname "$0")/pid.new" "$(dirname "$0")/pid"; exec sleep 1000',
    );
    const controller = new AbortController();
    const running = runCommand([file], { signal: controller.signal });
    const pidFile = join(folder, 'pid');
    await until(() => existsSync(pidFile));
    const pid = (await readFile(pidFile, 'utf8')).trim();
    controller.abort(new Error('enough'));
    await assert.rejects(running, /enough/);
    await until(async () => !(await runs(pid)));
    await assert.rejects(runCommand([file], { signal: controller.signal }), /enough/);
  });

  test('that has succeeded is not waited for where it left something running', async (t) => {
    const { file, folder } = await script(t, 'sleep 1000 & echo $! >"$(dirname "$0")/pid"');
    assert.equal(await runCommand([file]), undefined);
    process.kill(Number(await readFile(join(folder, 'pid'), 'utf8')));
  });
});
