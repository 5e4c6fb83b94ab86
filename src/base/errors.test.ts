import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain, LatchkeyError, systemCode } from './errors.ts';

test('an error explains itself with its causes, each said once', () => {
  const cause = new Error('connection refused');
  assert.equal(
    explain(new LatchkeyError('x', 'the CA is down', { cause })),
    'the CA is down: connection refused',
  );
  assert.equal(explain(new Error('failed: connection refused', { cause })), 'failed: connection refused');
  assert.equal(explain('a string was thrown'), 'a string was thrown');
});

test('an error of the system has its code, others have none of that kind', () => {
  assert.equal(systemCode(Object.assign(new Error('gone'), { code: 'ENOENT' })), 'ENOENT');
  assert.equal(systemCode(Object.assign(new Error('gone'), { code: 7 })), undefined);
  assert.equal(systemCode('ENOENT'), undefined);
});

test('an error is named after its class', () => {
  class OddError extends LatchkeyError<'odd'> {}
  const error = new OddError('odd', 'strange');
  assert.equal(`${error.name} ${error.code}`, 'OddError odd');
});
