import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { TestContext } from 'node:test';
import { contents, set } from '../conformance.testing.ts';
import { Crash, FlakyDisk } from './flaky-disk.testing.ts';
import { FsStore } from './fs-store.ts';
import { temporaryFolder } from './temporary.testing.ts';

// The disk that loses power follows folders through /proc.
const options = { skip: process.platform !== 'linux' && 'this needs Linux', concurrency: 8 };

type Work = (store: FsStore) => Promise<unknown>;

interface Matrix {
  /** What the store holds before, opened by a disk that works. */
  readonly before: Work;
  readonly work: Work;
  /** Judges the store as the next start finds it. `done`: the work had been fulfilled. */
  readonly after: (store: FsStore, done: boolean) => Promise<void>;
}

/** Lets `work` die at each of its changes, with the power on and off, and opens the store anew each time. */
async function eachCrash(t: TestContext, matrix: Matrix): Promise<void> {
  const root = await temporaryFolder(t);
  const [model, dir, limbo] = [join(root, 'model'), join(root, 'md'), join(root, 'limbo')];
  await matrix.before(await FsStore.open({ dir: model }));
  for (const power of ['stays', 'fails']) {
    for (let at = 0, done = false; !done; at += 1) {
      await rm(dir, { recursive: true, force: true });
      await rm(limbo, { recursive: true, force: true });
      await mkdir(limbo);
      await cp(model, dir, { recursive: true });
      await using flaky = new FlakyDisk(limbo, at);
      done = await diesOrEnds(async () => matrix.work(await FsStore.attach({ dir, disk: flaky.disk })));
      if (power === 'fails') await flaky.losePower();
      const judged = FsStore.open({ dir }).then((store) => matrix.after(store, done));
      await judged.catch((cause: unknown) => {
        throw new Error(`after change ${at}, ${done ? 'done' : 'died'}, power ${power}`, { cause });
      });
      assert.deepEqual(await litter(dir), []);
      if (done) assert.ok(at > 2, 'there is something to interrupt');
    }
  }
}

async function diesOrEnds(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Crash) return false;
    throw error;
  }
}

async function litter(dir: string): Promise<string[]> {
  const files = await readdir(dir, { recursive: true });
  return files.filter((path) => /(?:^|\/)\./.test(path) && path !== 'tmp/.ready');
}

const one = async (store: FsStore) => String(await store.load('domains', 'a.example', 'md.json'));

type Start = (dir: string, limbo: string) => Promise<(store: FsStore) => Promise<void>>;

const emptyStore: Start = async () => async (store) => {
  await store.save('staging', 'a.example', 'md.json', 'x');
};

const interruptedActivation: Start = async (dir) => {
  const store = await FsStore.open({ dir });
  await store.activate('a.example', set(1));
  await store.activate('b.example', set(2));
  await mkdir(join(dir, 'archive/a.example.1'));
  await rename(join(dir, 'domains/a.example'), join(dir, 'archive/a.example.1'));
  await rename(join(dir, 'domains/b.example'), join(dir, 'tmp/.ready/a.example'));
  return async (next) => {
    assert.deepEqual(await contents(next, 'domains', 'a.example'), set(2));
    assert.deepEqual(await contents(next, 'archive', 'a.example.1'), set(1));
  };
};

const oldLayout: Start = async (dir) => {
  const store = await FsStore.open({ dir });
  const old = { 'pkey.pem': 'key', 'cert.pem': 'leaf', 'chain.pem': 'issuer\n' };
  for (const [aspect, value] of Object.entries(old)) await store.save('domains', 'a.example', aspect, value);
  const path = join(dir, 'md_store.json');
  await writeFile(path, (await readFile(path, 'utf8')).replace('3.0', '1.0'));
  return async (next) => {
    const { 'pkey.pem': _, ...kept } = old;
    const files = { ...kept, 'privkey.pem': 'key', 'pubcert.pem': 'leaf\nissuer\n' };
    assert.deepEqual(await contents(next, 'domains', 'a.example'), new Map(Object.entries(files)));
  };
};

suite('a store on a disk that fails', options, () => {
  test('a save that dies leaves the old value or the new one, and a fulfilled one is there for good', async (t) => {
    await eachCrash(t, {
      before: (store) => store.save('domains', 'a.example', 'md.json', 'the old'),
      work: (store) => store.save('domains', 'a.example', 'md.json', 'the new'),
      after: async (store, done) => assert.match(await one(store), done ? /^the new$/ : /^the (?:old|new)$/),
    });
  });

  test('a first save that dies leaves nothing or the value', async (t) => {
    await eachCrash(t, {
      before: async () => {},
      work: (store) => store.save('accounts', 'ACME-a-0000', 'account.json', 'new'),
      after: async (store, done) => {
        const value = await store.load('accounts', 'ACME-a-0000', 'account.json');
        if (done || value) assert.equal(String(value), 'new');
      },
    });
  });

  test('what need not last is the old value, the new one or empty, and never a part', async (t) => {
    await eachCrash(t, {
      before: (store) => store.save('domains', 'a.example', 'md.json', 'the old'),
      work: (store) => store.save('domains', 'a.example', 'md.json', 'the new', { durable: false }),
      after: async (store) => assert.match(await one(store), /^(?:the old|the new|)$/),
    });
  });

  test('a first activation that dies leaves no set or a whole one', async (t) => {
    await eachCrash(t, {
      before: async () => {},
      work: (store) => store.activate('a.example', set(1)),
      after: async (store, done) => {
        const found = await contents(store, 'domains', 'a.example');
        if (done || found.size > 0) assert.deepEqual(found, set(1));
        else assert.deepEqual(await store.list('domains'), []);
      },
    });
  });

  test('an activation that dies leaves the old set in use, or the new one and the old archived', async (t) => {
    await eachCrash(t, {
      before: async (store) => {
        await store.activate('a.example', set(1));
        await store.activate('a.example', set(2));
      },
      work: (store) => store.activate('a.example', set(3)),
      after: async (store, done) => {
        const activated = (await one(store)) === 'md 3';
        if (done) assert.ok(activated);
        assert.deepEqual(await contents(store, 'domains', 'a.example'), set(activated ? 3 : 2));
        const archived = activated ? ['a.example.1', 'a.example.2'] : ['a.example.1'];
        assert.deepEqual(await store.list('archive'), archived);
        assert.deepEqual(await contents(store, 'archive', 'a.example.1'), set(1));
        if (activated) assert.deepEqual(await contents(store, 'archive', 'a.example.2'), set(2));
        await store.activate('a.example', set(4));
        assert.deepEqual(await contents(store, 'domains', 'a.example'), set(4));
      },
    });
  });

  test('the same where nothing was ever activated', async (t) => {
    await eachCrash(t, {
      before: async (store) => {
        for (const [aspect, value] of set(1)) await store.save('domains', 'a.example', aspect, value);
      },
      work: (store) => store.activate('a.example', set(2)),
      after: async (store, done) => {
        const activated = done || (await one(store)) === 'md 2';
        assert.deepEqual(await contents(store, 'domains', 'a.example'), set(activated ? 2 : 1));
        if (activated) assert.deepEqual(await contents(store, 'archive', 'a.example.1'), set(1));
      },
    });
  });

  test('a purge that dies leaves all or nothing', async (t) => {
    await eachCrash(t, {
      before: (store) => store.activate('a.example', set(1)),
      work: (store) => store.purge('domains', 'a.example'),
      after: async (store, done) => {
        const found = await contents(store, 'domains', 'a.example');
        if (done || found.size === 0) assert.deepEqual(await store.list('domains'), []);
        else assert.deepEqual(found, set(1));
      },
    });
  });

  test('an open that dies is made good by the next: store made once, activation finished, layout migrated', async (t) => {
    const root = await temporaryFolder(t);
    for (const start of [emptyStore, interruptedActivation, oldLayout]) {
      for (let at = 0, done = false; !done; at += 1) {
        const [dir, limbo] = [
          join(root, start.name, `${at}`, 'md'),
          join(root, start.name, `${at}`, 'limbo'),
        ];
        await mkdir(limbo, { recursive: true });
        const judge = await start(dir, limbo);
        await using flaky = new FlakyDisk(limbo, at);
        done = await diesOrEnds(() => FsStore.open({ dir, disk: flaky.disk }));
        const description = await readFile(join(dir, 'md_store.json'), 'utf8').catch(() => undefined);
        const store = await FsStore.open({ dir });
        if (description?.includes('3.0')) {
          assert.equal(await readFile(join(dir, 'md_store.json'), 'utf8'), description);
        }
        await judge(store);
        assert.deepEqual(await litter(dir), []);
      }
    }
  });

  test('an operation that fails is told, and leaves an old or a new whole behind', async (t) => {
    const root = await temporaryFolder(t);
    const limbo = join(root, 'limbo');
    for (const [code, kind] of Object.entries({ ENOSPC: 'full', EIO: 'io' })) {
      for (let at = 0, done = false; !done; at += 1) {
        await rm(limbo, { recursive: true, force: true });
        await mkdir(limbo);
        const dir = join(root, code, `${at}`);
        await (await FsStore.open({ dir })).activate('a.example', set(1));
        await using flaky = new FlakyDisk(limbo, at, { kind: 'error', code });
        const store = await FsStore.attach({ dir, disk: flaky.disk });
        done = await store.activate('a.example', set(2)).then(
          () => true,
          (error: unknown) => {
            assert.equal((error as { code?: string }).code, `store-${kind}`);
            return false;
          },
        );
        const found = await contents(store, 'domains', 'a.example');
        assert.deepEqual(found, set(found.get('md.json') === 'md 2' ? 2 : 1));
        assert.deepEqual(await litter(dir), [], `change ${at}`);
        if (done) break;
        await store.activate('a.example', set(3));
        assert.deepEqual(await contents(store, 'domains', 'a.example'), set(3));
      }
    }
  });
});
