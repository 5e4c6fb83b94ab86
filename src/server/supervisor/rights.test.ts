import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { FsStore } from '../../store/fs/fs-store.ts';
import { temporaryFolder } from '../../store/fs/temporary.testing.ts';
import type { Group } from '../../store/store.ts';
import type { SupervisorCalls } from '../calls.ts';
import type { Handlers } from '../peer.ts';
import type { Children } from './children.ts';
import { silent } from '../../base/log.ts';
import { settingsOf } from '../../http/settings.testing.ts';
import { Credentials } from './credentials.ts';
import { Passphrases } from './passphrases.ts';
import { InstalledHook } from './installed-hook.ts';
import { supervisorCalls, type Rights } from './rights.ts';

const NAME = 'a.example.org';
/** Without root's rights there is nobody whom the links of another could mislead. */
const unlessRoot = process.getuid?.() === 0 ? false : 'only root has another owner for the store';

/** What an engine is offered that has `a.example.org` to care for, and a file outside of the store. */
async function offered(t: TestContext): Promise<{
  calls: Handlers<SupervisorCalls>;
  store: FsStore;
  dir: string;
  secret: string;
  certificateFile: string;
  discarded: string[];
  /** What another engine would wait for. */
  changes: Promise<unknown>[];
}> {
  const folder = await temporaryFolder(t);
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'SECRET');
  const dir = join(folder, 'md');
  const owner = process.getuid?.() === 0 ? { uid: 54_321, gid: 54_321 } : undefined;
  const store = await FsStore.open({ dir, ...(owner ? { owner } : {}) });
  await store.save('domains', NAME, 'md.json', '{}');
  const activate = () => Promise.reject(new Error('nothing is staged'));
  const discarded: string[] = [];
  const discard = async (name: string) => void discarded.push(name);
  const changes: Promise<unknown>[] = [];
  const during = <T>(change: Promise<T>) => {
    changes.push(change);
    return change;
  };
  const certificateFile = join(folder, 'certificate.pem');
  writeFileSync(certificateFile, 'CERTIFICATE');
  const domain = { name: NAME, staticFiles: [{ certificateFile, keyFile: secret }] };
  const settings = settingsOf({ domains: [domain as never], onDemand: [{ id: 'on-demand' } as never] });
  const credentials = new Credentials(settings, store, new Passphrases());
  const calls = supervisorCalls({
    keeper: { store, activate, discard, during } as unknown as Rights['keeper'],
    credentials: () => credentials,
    children: () => ({ workers: [] }) as unknown as Children,
    installed: new InstalledHook(silent('md')),
    settings: () => settings,
  });
  return { calls, store, dir, secret, certificateFile, discarded, changes };
}

suite('what an engine may have the supervisor do', () => {
  test('is to read what the store has', async (t) => {
    const { calls } = await offered(t);
    const at = { group: 'domains', name: NAME, aspect: 'md.json' } as const;
    assert.equal((await calls.storeLoad(at))?.toString(), '{}');
    assert.deepEqual(await calls.storeList('domains'), [NAME]);
    assert.deepEqual(await calls.storeAspects(at), ['md.json']);
    assert.ok(await calls.storeModified(at));
  });

  test('is not to leave the store, by whatever name', async (t) => {
    const { calls } = await offered(t);
    const paths = [
      '..',
      '../secret',
      '../../secret',
      '/etc/passwd',
      'a/../../secret',
      'a\0b',
      '',
      '.',
      'md_store.json',
    ];
    for (const group of [
      'domains',
      'accounts',
      '..',
      '.',
      '',
      '/',
      'md_store.json',
      '__proto__',
    ] as Group[]) {
      for (const name of paths) {
        for (const aspect of [...paths, 'secret']) {
          const at = { group, name, aspect };
          const found = await settled(() => calls.storeLoad(at));
          assert.equal(found, undefined, JSON.stringify(at));
          assert.equal(await settled(() => calls.storeModified(at)), undefined, JSON.stringify(at));
        }
        assert.deepEqual((await settled(() => calls.storeAspects({ group, name }))) ?? [], []);
      }
      const listed = (await settled(() => calls.storeList(group))) ?? [];
      assert.deepEqual(listed, group === 'domains' ? [NAME] : []);
    }
  });

  test('is not to follow links that its own user could have put there', { skip: unlessRoot }, async (t) => {
    const { calls, dir, secret } = await offered(t);
    const staged = join(dir, 'staging', NAME);
    mkdirSync(staged);
    symlinkSync(secret, join(staged, 'pubcert.pem'));
    symlinkSync(join(dir, '..'), join(dir, 'staging/b.example.org'));
    for (const [name, aspect] of [
      [NAME, 'pubcert.pem'],
      ['b.example.org', 'secret'],
    ] as const) {
      const found = await settled(() => calls.storeLoad({ group: 'staging', name, aspect }));
      assert.equal(found, undefined, `${name}/${aspect}`);
    }
  });

  test('is to activate managed domains of the configuration, and load their sets, and no others', async (t) => {
    const { calls, store } = await offered(t);
    for (const name of ['localhost', 'b.b.example.org', '..', '', NAME.toUpperCase()]) {
      await assert.rejects(async () => calls.activate({ domain: name, serials: [] }), {
        message: /not a managed domain|can't be a name/,
      });
      const [loaded] = await calls.loadCredentials([`md:${name}`]);
      assert.ok(loaded?.problem !== undefined && loaded.pems.length === 0);
    }
    await assert.rejects(async () => calls.activate({ domain: NAME, serials: [] }), {
      message: 'nothing is staged',
    });
    await store.save('limits', 'added', 'added.example.json', '{}');
    await assert.rejects(async () => calls.activate({ domain: 'added.example', serials: [] }), {
      message: 'nothing is staged',
    });
    // Whatever else the engine writes there would be an argument of MDMessageCmd, which may be root's.
    for (const name of ['--config=evil', '-x', '$(reboot)', 'Added.example', '0x7f.1;reboot']) {
      await store.save('limits', 'added', `${name}.json`, '{}');
      await assert.rejects(async () => calls.activate({ domain: name, serials: [] }), {
        message: /not a managed domain/,
      });
      const [loaded] = await calls.loadCredentials([`md:${name}`]);
      assert.match(loaded?.problem ?? '', /not in the configuration/);
    }
    assert.deepEqual(await calls.tellInstalled(NAME), { ran: false });
    const unknown = await calls.loadCredentials(['file:nothing', '/etc/passwd', '']);
    assert.ok(unknown.every(({ pems, stopgap, problem }) => pems.length + stopgap.length === 0 && problem));
  });
});

test('an engine has names removed that may be ordered on demand, and no configured ones', async (t) => {
  const { calls, discarded, changes } = await offered(t);
  for (const name of [NAME, 'localhost', '..', '../domains', '']) {
    await assert.rejects(async () => calls.discard(name), { message: 'not a domain on demand' });
  }
  changes.length = 0;
  await calls.discard('shop.customer.test');
  assert.deepEqual(discarded, ['shop.customer.test']);
  await assert.rejects(async () => calls.activate({ domain: 'shop.customer.test', serials: [] }), {
    message: 'nothing is staged',
  });
  assert.equal(changes.length, 2);
});

test('an engine reads configured certificate files by its supervisor, and no other files', async (t) => {
  const { calls, secret, certificateFile } = await offered(t);
  assert.equal(await calls.certificateFile(certificateFile), 'CERTIFICATE');
  for (const file of [secret, '/etc/passwd', `${certificateFile}/../secret`, '']) {
    await assert.rejects(async () => calls.certificateFile(file), {
      message: 'not a file of MDCertificateFile',
    });
  }
});

/** A refusal is as good as nothing found. */
async function settled<Value>(task: () => Value): Promise<Awaited<Value> | undefined> {
  try {
    return await task();
  } catch {
    return undefined;
  }
}
