import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { SmallFiles } from './small-files.ts';

function place(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-small-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'page.html');
  const write = (content: string) => writeFileSync(file, content);
  return { file, write, stats: () => statSync(file, { bigint: true }) };
}

test('a file that was read is kept as long as it looks the same', async (t) => {
  const { file, write, stats } = place(t);
  const files = new SmallFiles();
  write('first');
  assert.equal(files.kept(file, stats()), undefined);
  const first = await files.read(file, stats());
  assert.equal(first?.content.toString(), 'first');
  assert.equal(files.kept(file, stats()), first);
  write('another');
  assert.equal(files.kept(file, stats()), undefined);
  assert.equal((await files.read(file, stats()))?.content.toString(), 'another');
});

test('what is not as it was looked at is not given', async (t) => {
  const { file, write, stats } = place(t);
  write('short');
  const before = stats();
  write('longer by far');
  assert.equal(await new SmallFiles().read(file, before), undefined);
});

test('a large file is for somebody else to send', async (t) => {
  const { file, write, stats } = place(t);
  write('x'.repeat(64 * 1024 + 1));
  assert.equal(await new SmallFiles().read(file, stats()), undefined);
});
