import assert from 'node:assert/strict';
import { fork, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { open } from 'lmdb';
import { tableConformance } from './conformance.testing.ts';
import { createAuthority } from './credentials.testing.ts';
import type { CertificateTable } from './table.ts';
import { openTableForReading, openTableForWriting } from './lmdb-table.ts';

function temporary(): Disposable & { dir: string } {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-table-'));
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

tableConformance('The shared table', () => {
  const folder = temporary();
  const table = openTableForWriting({ dir: folder.dir });
  return {
    table,
    [Symbol.dispose]: () => {
      table[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
});

/** Another process that has the table open for reading: a worker. */
async function startReader(dir: string): Promise<AsyncDisposable & { ask: Ask; process: ChildProcess }> {
  const child = fork(join(import.meta.dirname, 'reader.testing.ts'), [dir], {
    execArgv: ['--disable-sigusr1'],
  });
  await once(child, 'message');
  return {
    process: child,
    async ask(method, ...args) {
      child.send({ method, args });
      const [answer] = (await once(child, 'message')) as [{ value: unknown }];
      return answer.value;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
type Ask = (
  method: 'version' | 'changes' | 'refresh' | 'serial' | 'find',
  ...args: string[]
) => Promise<unknown>;

suite('The shared table', async () => {
  const authority = await createAuthority();
  const first = { fallback: true, certificates: [await authority.issue(['a.example.org'])] };
  const second = { fallback: false, certificates: [await authority.issue(['a.example.org'])] };
  const serialOf = (set: typeof first) => set.certificates[0]?.serial;

  test('is for its user alone', () => {
    using folder = temporary();
    chmodSync(folder.dir, 0o755);
    using table = openTableForWriting({ dir: folder.dir });
    table.put('id', first);
    assert.equal(statSync(folder.dir).mode & 0o777, 0o700);
    const files = readdirSync(folder.dir);
    assert.equal(files.length, 4);
    for (const file of files) assert.equal(statSync(join(folder.dir, file)).mode & 0o777, 0o600, file);
  });

  test('shows other processes at once what was written', async () => {
    using folder = temporary();
    using table = openTableForWriting({ dir: folder.dir });
    await using reader = await startReader(folder.dir);
    assert.equal(await reader.ask('version', 'id'), null);
    table.put('id', first);
    assert.equal(await reader.ask('serial', 'id'), serialOf(first));
    table.put('id', second);
    table.point('scope', ['a.example.org'], 'id');
    assert.equal(await reader.ask('serial', 'id'), serialOf(second));
    assert.equal(await reader.ask('version', 'id'), table.version('id'));
    assert.equal(await reader.ask('find', 'scope', 'a.example.org'), 'id');
    table.remove('id');
    assert.equal(await reader.ask('serial', 'id'), null);
  });

  test('lets other processes tell whether anything changed, also when its writer is another', async () => {
    using folder = temporary();
    const table = openTableForWriting({ dir: folder.dir });
    await using reader = await startReader(folder.dir);
    const changes = async () => {
      await reader.ask('refresh');
      return reader.ask('changes');
    };
    const before = await changes();
    assert.equal(await changes(), before);
    table.put('id', first);
    const after = await changes();
    assert.notEqual(after, before);
    assert.equal(table.changes(), after);
    table[Symbol.dispose]();
    assert.equal(table.changes(), NaN);
    using again = openTableForWriting({ dir: folder.dir });
    const anew = await changes();
    // The one before may have died before it could tell.
    assert.ok(anew !== after && anew !== before);
    again.put('id', second);
    assert.ok(![before, after, anew].includes(await changes()));
  });

  test('is found again with what was in it', () => {
    using folder = temporary();
    const before = openTableForWriting({ dir: folder.dir });
    before.put('id', first);
    before[Symbol.dispose]();
    assert.equal(before.get('id'), undefined, 'a closed table is a miss');
    using after = openTableForWriting({ dir: folder.dir });
    assert.deepEqual(after.get('id')?.certificates, first.certificates);
    assert.equal(after.generation, before.generation);
  });

  test('of another format or boot is made anew by the writer and refused by readers', async () => {
    for (const change of [{ format: 2 }, { boot: 'another' }, { generation: undefined }]) {
      using folder = temporary();
      const old = openTableForWriting({ dir: folder.dir });
      old.put('id', first);
      old[Symbol.dispose]();
      const record = join(folder.dir, 'table.json');
      writeFileSync(record, JSON.stringify({ ...JSON.parse(readFileSync(record, 'utf8')), ...change }));
      assert.throws(() => openTableForReading({ dir: folder.dir }), { code: 'table-unusable' });
      using table = openTableForWriting({ dir: folder.dir });
      assert.deepEqual([...table.ids()], []);
      assert.notEqual(table.generation, old.generation);
      await using reader = await startReader(folder.dir);
      table.put('id', second);
      assert.equal(await reader.ask('serial', 'id'), serialOf(second));
    }
  });

  test('whose file is garbage crashes one process at most, and then is made anew', () => {
    using folder = temporary();
    openTableForWriting({ dir: folder.dir })[Symbol.dispose]();
    writeFileSync(join(folder.dir, 'certificates.mdb'), 'garbage'.repeat(10_000));
    const script = `
      import { openTableForWriting } from ${JSON.stringify(join(import.meta.dirname, 'lmdb-table.ts'))};
      openTableForWriting({ dir: ${JSON.stringify(folder.dir)} });
    `;
    spawnSync(process.execPath, ['--disable-sigusr1', '--input-type=module', '--eval', script]);
    using table = openTableForWriting({ dir: folder.dir });
    assert.equal(table.put('id', first), 'stored');
  });

  test('begins empty where that is asked for', () => {
    using folder = temporary();
    const before = openTableForWriting({ dir: folder.dir });
    before.put('id', first);
    before[Symbol.dispose]();
    using after = openTableForWriting({ dir: folder.dir, fresh: true });
    assert.deepEqual([...after.ids()], []);
    assert.notEqual(after.generation, before.generation);
  });

  test('that nobody made is refused to readers, and nothing is made', () => {
    using folder = temporary();
    assert.throws(() => openTableForReading({ dir: folder.dir }), { code: 'table-unusable' });
    assert.deepEqual(readdirSync(folder.dir), []);
  });

  test('whose records are damaged misses them, and heals by the next put', () => {
    using folder = temporary();
    {
      using table = openTableForWriting({ dir: folder.dir });
      table.put('id', first);
      table.put('other', second);
    }
    const database = open<Buffer, string>({
      path: join(folder.dir, 'certificates.mdb'),
      encoding: 'binary',
      noSync: true,
    });
    const [chain = ''] = database.getKeys({ start: 'c', end: 'd' });
    database.putSync(chain, Buffer.from('no chain'));
    const blob = database.getBinary('sother') ?? Buffer.alloc(0);
    database.putSync('sother', Buffer.concat([blob.subarray(0, 40), Buffer.alloc(600)]));
    void database.close();
    using table = openTableForWriting({ dir: folder.dir });
    assert.equal(table.get('id'), undefined);
    assert.equal(table.get('other'), undefined);
    assert.equal(table.put('id', first), 'stored');
    assert.equal(table.put('other', second), 'stored');
    assert.deepEqual(table.get('id')?.certificates, first.certificates);
    assert.deepEqual(table.get('other')?.certificates, second.certificates);
  });

  test('keeps a chain once, and only while a set needs it', () => {
    using folder = temporary();
    const keys = () => {
      const database = open({ path: join(folder.dir, 'certificates.mdb'), encoding: 'binary', noSync: true });
      const found = [...database.getKeys()].map(String);
      void database.close();
      return found;
    };
    const steps: ((table: ReturnType<typeof openTableForWriting>) => void)[] = [
      (table) => {
        table.put('a', first);
        table.put('b', second);
        table.put('a', second);
      },
      (table) => table.remove('a'),
      (table) => table.remove('b'),
    ];
    const chains = steps.map((step) => {
      using table = openTableForWriting({ dir: folder.dir });
      step(table);
      table[Symbol.dispose]();
      return keys().filter((key) => key.startsWith('c')).length;
    });
    assert.deepEqual(chains, [1, 1, 0]);
    assert.deepEqual(keys(), []);
  });

  test('does not grow by readers who were killed', async () => {
    using folder = temporary();
    using table = openTableForWriting({ dir: folder.dir });
    table.put('id', first);
    {
      await using reader = await startReader(folder.dir);
      await reader.ask('version', 'id');
    }
    assert.equal(table.readerCheck(), 1);
    assert.equal(table.readerCheck(), 0);
  });

  test('grows beyond its address space, under the eyes of readers', async () => {
    using folder = temporary();
    using table = openTableForWriting({ dir: folder.dir, mapSize: 256 * 1024 });
    await using reader = await startReader(folder.dir);
    for (let i = 0; i < 400; i++) assert.equal(table.put(`id${i}`, i % 2 ? first : second), 'stored');
    assert.equal(await reader.ask('serial', 'id399'), serialOf(first));
    assert.equal(await reader.ask('serial', 'id0'), serialOf(second));
  });

  function fill(table: CertificateTable): number {
    let stored = 0;
    while (table.put(`id${stored}`, first) === 'stored') stored++;
    return stored;
  }

  test('on a full filesystem says so, keeps what was there, and goes on with renewals', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root may mount a small filesystem');
    using folder = temporary();
    const dir = join(folder.dir, 'small');
    mkdirSync(dir);
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', dir]);
    if (mount.status !== 0) return t.skip(`mount is not allowed here: ${mount.stderr.toString().trim()}`);
    try {
      using table = openTableForWriting({ dir });
      await using reader = await startReader(dir);
      const stored = fill(table);
      assert.ok(stored > 300, `${stored} stored`);
      // Whoever else uses the filesystem takes the rest of it.
      assert.throws(() => writeFileSync(join(dir, 'other'), Buffer.alloc(2 ** 22)), { code: 'ENOSPC' });
      assert.equal(table.put('one more', first), 'full');
      for (let i = 0; i < stored; i++) assert.equal(table.get(`id${i}`)?.fallback, true);
      assert.equal(await reader.ask('serial', 'id0'), serialOf(first));
      await using late = await startReader(dir);
      assert.equal(await late.ask('serial', 'id0'), serialOf(first), 'a reader may still come');

      // Renewals go on, whatever their order, for as long as anybody likes.
      for (let i = 0; i < 3000; i++) {
        const id = `id${(i * 7919) % stored}`;
        const renewed = table.get(id)?.fallback ? second : first;
        assert.equal(table.put(id, renewed), 'stored', `renewal ${i}`);
      }
      table.put('id0', first);
      assert.equal(table.put('id0', second), 'stored');
      assert.equal(await reader.ask('serial', 'id0'), serialOf(second));

      // Room is made by removing.
      const [, ...others] = table.ids();
      for (const id of others.splice(0, 100)) assert.equal(table.remove(id), 'removed');
      const sets = others.map((id) => ({ id, names: [] }));
      assert.equal(table.forget('scope', sets), 'removed');
      assert.equal(table.put('one more', first), 'stored');
      assert.equal(await late.ask('serial', 'one more'), serialOf(first));
    } finally {
      spawnSync('umount', ['-l', dir]);
    }
  });

  test('that finds no room at all says so', (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root may mount a small filesystem');
    using folder = temporary();
    const dir = join(folder.dir, 'small');
    mkdirSync(dir);
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=200k', 'none', dir]);
    if (mount.status !== 0) return t.skip(`mount is not allowed here: ${mount.stderr.toString().trim()}`);
    try {
      assert.throws(() => openTableForWriting({ dir }), { code: 'table-unusable' });
    } finally {
      spawnSync('umount', ['-l', dir]);
    }
  });
});
