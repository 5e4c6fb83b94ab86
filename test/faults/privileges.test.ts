/** Started by root with `User`: who may do what, and who can read what. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestServer, eventually, freePorts } from '../latchkey.testing.ts';
import { getSecure, localAuthority, server } from './faults.testing.ts';

const USER = 'www-data';
const NAME = 'a.latchkey.localhost';

function idOf(user: string): number | undefined {
  const { status, stdout } = spawnSync('id', ['-u', user], { encoding: 'utf8' });
  return status === 0 ? Number(stdout) : undefined;
}

const uid = idOf(USER);
const skip =
  process.getuid?.() !== 0
    ? 'only root can drop rights'
    : uid === undefined
      ? `there is no user ${USER}`
      : false;

/** Lines of /proc/PID/status by name: `Uid` is real, effective, saved and filesystem. */
function statusOf(pid: number): Record<string, string[]> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n');
  return Object.fromEntries(
    lines.map((line) => {
      const [name = '', ...values] = line.split(/:?\s+/);
      return [name, values.filter((value) => value !== '')] as const;
    }),
  );
}

function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return [];
    }
  });
}

/** Whether the user, with no right of root’s, can read a file. */
function canRead(path: string): boolean {
  return spawnSync('cat', [path], { uid, gid: uid, stdio: 'ignore' }).status === 0;
}

test('engine and workers are User for good, and keys are out of their reach', { skip }, async () => {
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  await using one = new TestServer();
  one.write('htdocs/index.html', 'hello');
  one.configure(
    server(
      { http, https },
      'Workers 2',
      `User ${USER}`,
      `Group ${USER}`,
      localAuthority({ http, https }, ca, NAME),
    ),
  );
  await one.start();
  await eventually('a certificate', async () => (await one.status()).domains[0]?.state === 'complete');
  assert.equal((await getSecure(https, NAME)).body, 'hello');
  assert.deepEqual(statusOf(one.pid)['Uid'], ['0', '0', '0', '0']);

  const { engine, workers } = one.children();
  const own = [one.dir, '/dev/shm'];
  for (const pid of [...engine, ...workers]) {
    const { Uid, Gid, Groups, CapEff, CapPrm } = statusOf(pid);
    assert.deepEqual(Uid, Array(4).fill(String(uid)));
    assert.deepEqual(Gid, Array(4).fill(String(uid)));
    assert.ok(!Groups?.includes('0'), `groups ${Groups?.join(' ')}`);
    assert.deepEqual([CapEff, CapPrm], [['0000000000000000'], ['0000000000000000']]);
    // What root has opened before is as good as a right: nothing of it is left open.
    const files = openFiles(pid).filter((file) => own.some((folder) => file.startsWith(folder)));
    // What is gone by now was somebody's who writes.
    const foreign = files.filter((file) => {
      const found = file.includes(' (deleted)') ? undefined : statSync(file, { throwIfNoEntry: false });
      return found && found.uid !== uid;
    });
    assert.deepEqual(foreign, []);
  }

  const store = join(one.dir, 'md');
  for (const secret of [
    'md_store.json',
    `domains/${NAME}/privkey.secp256r1.pem`,
    `domains/${NAME}/md.json`,
  ]) {
    assert.equal(canRead(join(store, secret)), false, secret);
  }
  for (const [group, owner] of [
    ['challenges', uid],
    ['staging', uid],
    ['ocsp', uid],
    ['domains', 0],
    ['accounts', 0],
    ['archive', 0],
  ] as const) {
    assert.equal(statSync(join(store, group)).uid, owner, group);
  }
  assert.equal(statSync(join(one.dir, 'logs/error_log')).uid, 0);

  const runtimeDir = one.runtimeDir() ?? '';
  assert.deepEqual([statSync(runtimeDir).uid, statSync(runtimeDir).mode & 0o777], [uid, 0o700]);

  const renewal = await one.run('renew', NAME);
  assert.equal(renewal.code, 0, renewal.stderr);
  assert.equal(statSync(join(store, `archive/${NAME}.2`)).uid, 0);
  await one.run('-k', 'graceful');
  await eventually('a reload', () => one.log().includes('AH00493'));
  assert.equal((await getSecure(https, NAME)).status, 200);
});
