import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NoncePool, readNonce } from './nonces.ts';

test('each nonce is given once, the newest first', () => {
  const pool = new NoncePool();
  pool.add('a');
  pool.add('b');
  assert.deepEqual([pool.take(), pool.take(), pool.take()], ['b', 'a', undefined]);
});

test('the pool is bounded: the oldest go', () => {
  const pool = new NoncePool();
  for (let i = 0; i < 1000; i++) pool.add(`n${i}`);
  const taken = Array.from({ length: 1000 }, () => pool.take()).filter((nonce) => nonce !== undefined);
  assert.equal(taken.length, 64);
  assert.equal(taken[0], 'n999');
});

test('what is not base64url is no nonce', () => {
  assert.equal(readNonce('aA0-_'), 'aA0-_');
  for (const header of [undefined, '', 'a b', 'a=', 'a\r\nb', 'ü', 'x'.repeat(1025)]) {
    assert.equal(readNonce(header), undefined);
  }
});
