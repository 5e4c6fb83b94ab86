import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { suite, test } from 'node:test';
import { PrivilegeError, resolveIdentity } from './privileges.ts';

const root = process.getuid?.() === 0;
const skip = root ? false : 'only root has rights to drop';

/** Runs `body` with dropPrivileges in another process, and gives what it prints as JSON. */
function elsewhere(body: string): unknown {
  const program = `
    import { dropPrivileges, resolveIdentity } from ${JSON.stringify(new URL('privileges.ts', import.meta.url).href)};
    const say = (value) => console.log(JSON.stringify(value));
    ${body}`;
  const args = ['--input-type=module', '-e', program];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

suite('User and Group', () => {
  test('are nobody without a User line', () => {
    assert.equal(resolveIdentity(undefined, undefined), undefined);
    assert.equal(resolveIdentity(undefined, 'daemon'), undefined);
  });

  test('are not looked at when somebody else than root starts the server', { skip }, () => {
    const identity = elsewhere(`process.setuid(65534); say(resolveIdentity('no-such-user', '#0') ?? null);`);
    assert.equal(identity, null);
  });

  test('are found by name and by number; the group is the user’s own unless said', { skip }, () => {
    const daemon = resolveIdentity('daemon', undefined);
    assert.ok(daemon && daemon.user === 'daemon' && daemon.uid > 0);
    assert.deepEqual(resolveIdentity(`#${daemon.uid}`, undefined), daemon);
    assert.equal(resolveIdentity('daemon', '#4242')?.gid, 4242);
    assert.deepEqual(resolveIdentity('#54321', undefined), { user: '54321', uid: 54_321, gid: 54_321 });
  });

  test('that the system does not know are refused by name', { skip }, () => {
    assert.throws(() => resolveIdentity('no-such-user', undefined), {
      name: 'PrivilegeError',
      message: /AH00543: bad user name no-such-user/,
    });
    assert.throws(() => resolveIdentity('daemon', 'no-such-group'), {
      message: /AH00544: bad group name no-such-group/,
    });
    assert.throws(() => resolveIdentity(undefined, 'no-such-group'), { message: /AH00544/ });
    for (const written of ['#', '#-1', '#x', '#1.5', '#99999999999', '# 1']) {
      assert.throws(() => resolveIdentity(written, undefined), PrivilegeError, written);
      assert.throws(() => resolveIdentity('daemon', written), PrivilegeError, written);
    }
  });
});

suite('dropping root', { skip }, () => {
  for (const user of ['daemon', '#54321']) {
    test(`to ${user} leaves none of its rights, groups included`, () => {
      const after = elsewhere(`
        const identity = resolveIdentity('${user}', undefined);
        process.setgroups([0, 4]);
        dropPrivileges(identity);
        let regained = false;
        try { process.setuid(0); regained = true; } catch {}
        try { process.setgid(0); regained = true; } catch {}
        say({ identity, uid: process.getuid(), gid: process.getgid(), groups: process.getgroups(), regained });`) as {
        identity: { uid: number; gid: number };
        uid: number;
        gid: number;
        groups: number[];
        regained: boolean;
      };
      assert.ok(after.uid > 0);
      assert.equal(after.uid, after.identity.uid);
      assert.equal(after.gid, after.identity.gid);
      assert.ok(!after.groups.includes(0) && !after.groups.includes(4), `groups ${after.groups.join(' ')}`);
      assert.equal(after.regained, false);
    });
  }

  test('to root, or to nobody in particular, changes nothing', () => {
    assert.equal(
      elsewhere(`dropPrivileges(undefined); dropPrivileges(resolveIdentity('root')); say(process.getuid());`),
      0,
    );
  });
});
