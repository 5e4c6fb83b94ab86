import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createDurable, isPart, writeDurable } from './durable.ts';

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-durable-'));
  t.after(() => rm(dir, { recursive: true }));
  return dir;
}

test('a file is replaced as a whole, with the mode asked for, and nothing is left beside it', async (t) => {
  const dir = await folder(t);
  const path = join(dir, 'file');
  await writeFile(path, 'old and longer');
  await writeDurable(path, 'new', { mode: 0o600 });
  assert.equal(await readFile(path, 'utf8'), 'new');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(dir), ['file']);
});

test('creating never replaces', async (t) => {
  const dir = await folder(t);
  const path = join(dir, 'file');
  const made = await Promise.all(['a', 'b', 'c'].map((data) => createDurable(path, data)));
  assert.equal(made.filter(Boolean).length, 1);
  assert.deepEqual(await readdir(dir), ['file']);
  assert.equal(await readFile(path, 'utf8'), ['a', 'b', 'c'][made.indexOf(true)]);
});

test('a write that fails leaves nothing behind', async (t) => {
  const dir = await folder(t);
  await writeDurable(join(dir, 'folder-in-the-way'), 'x');
  await assert.rejects(writeDurable(join(dir, 'none', 'file'), 'x'), { code: 'ENOENT' });
  await assert.rejects(createDurable(join(dir, 'folder-in-the-way', 'file'), 'x'), { code: 'ENOTDIR' });
  assert.deepEqual(await readdir(dir), ['folder-in-the-way']);
});

test('what a write leaves when killed is known by its name', () => {
  assert.ok(isPart('.root.pem.0123456789ab.part'));
  assert.ok(!isPart('root.pem') && !isPart('.part') && !isPart('root.part'));
});
