import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '../base/clock.testing.ts';
import { storeConformance } from './conformance.testing.ts';
import { MemoryStore } from './memory.ts';

storeConformance('memory', async () => new MemoryStore());

test('a value is as old as its clock says', async () => {
  const clock = new TestClock('2026-11-22T06:00:00Z');
  const store = new MemoryStore({ clock });
  await store.save('domains', 'a.example', 'md.json', '');
  await clock.advance(1000);
  assert.equal(await store.modified('domains', 'a.example', 'md.json'), Date.parse('2026-11-22T06:00:00Z'));
});
