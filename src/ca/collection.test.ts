import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import * as v from 'valibot';
import { createLoggers, silent } from '../base/log.ts';
import { temporary } from './ca.testing.ts';
import { Collection } from './collection.ts';

const schema = v.object({ id: v.string(), count: v.number() });

test('what was put is there in the next process, what was removed is not', async (t) => {
  const dir = await temporary(t);
  const first = await Collection.open(dir, schema, silent('ca'));
  await first.put({ id: 'a', count: 1 });
  await first.put({ id: 'b', count: 1 });
  await first.remove('b');
  assert.equal(await first.update('b', (b) => b), undefined);
  const second = await Collection.open(dir, schema, silent('ca'));
  assert.deepEqual([...second.values()], [{ id: 'a', count: 1 }]);
});

test('changes of one document follow each other, none is lost', async (t) => {
  const dir = await temporary(t);
  const kept = await Collection.open(dir, schema, silent('ca'));
  await kept.put({ id: 'a', count: 0 });
  const more = () => kept.update('a', ({ id, count }) => ({ id, count: count + 1 }));
  await Promise.all(Array.from({ length: 20 }, more));
  assert.equal(kept.get('a')?.count, 20);
  assert.equal(JSON.parse(await readFile(join(dir, 'a.json'), 'utf8')).count, 20);
});

test('a write that fails is told, changes nothing, and does not stop the next', async (t) => {
  const dir = await temporary(t);
  const kept = await Collection.open(dir, schema, silent('ca'));
  await kept.put({ id: 'a', count: 1 });
  await rm(dir, { recursive: true });
  await assert.rejects(kept.put({ id: 'a', count: 2 }), { code: 'ENOENT' });
  assert.equal(kept.get('a')?.count, 1);
  await assert.rejects(
    kept.update('a', () => assert.fail('no')),
    /no/,
  );
  await Collection.open(dir, schema, silent('ca'));
  await kept.put({ id: 'a', count: 3 });
  assert.equal(kept.get('a')?.count, 3);
});

test('garbage is named in the log and left alone, half-written files go', async (t) => {
  const dir = await temporary(t);
  const lines: string[] = [];
  const loggers = createLoggers(
    (line) => lines.push(line),
    () => ({ all: 'warn', modules: {} }),
  );
  await writeFile(join(dir, 'bad.json'), '{"id":');
  await writeFile(join(dir, 'other.json'), '{"id":"other"}');
  await writeFile(join(dir, 'moved.json'), '{"id":"elsewhere","count":1}');
  await writeFile(join(dir, '.a.json.0123456789ab.part'), '{');
  const kept = await Collection.open(dir, schema, loggers('ca'));
  assert.equal(kept.size, 0);
  assert.deepEqual((await readdir(dir)).sort(), ['bad.json', 'moved.json', 'other.json']);
  assert.equal(lines.length, 2);
  assert.match(lines.join('\n'), /bad\.json is no document/);
});
