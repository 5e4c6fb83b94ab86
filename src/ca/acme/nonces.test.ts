import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nonces } from './nonces.ts';

test('a nonce is good once, and only if it was given out', () => {
  const nonces = new Nonces();
  const nonce = nonces.issue();
  assert.match(nonce, /^[\w-]{22}$/);
  assert.deepEqual([nonces.use(nonce), nonces.use(nonce), nonces.use('other')], [true, false, false]);
});

test('a flood of nonces costs the oldest, not the memory', () => {
  const nonces = new Nonces(1000);
  const first = nonces.issue();
  const later = Array.from({ length: 1000 }, () => nonces.issue());
  assert.equal(nonces.use(first), false);
  assert.ok(later.every((nonce) => nonces.use(nonce)));
});
