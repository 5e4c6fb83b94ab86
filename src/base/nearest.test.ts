import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from './nearest.ts';

test('names that may be meant are given, the nearest first, in any case', () => {
  const names = ['domains', 'domain', 'email', 'http', 'https'];
  assert.deepEqual(nearest('Domain', names), ['domain', 'domains']);
  assert.deepEqual(nearest('htpt', names), ['http']);
  assert.deepEqual(nearest('agreement', names), []);
  assert.deepEqual(nearest('', names), []);
});
