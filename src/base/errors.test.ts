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

test("OpenSSL's errors are told by their reason, without Node's advice", () => {
  const raw =
    '401DC3E73C7F0000:error:0A0000F4:SSL routines:ossl_statem_server_read_transition:unexpected message:../deps/openssl/openssl/ssl/statem/statem_srvr.c:340:\n';
  assert.equal(explain(new Error(raw)), 'unexpected message');
  assert.equal(explain(new Error(`write EPROTO ${raw}`)), 'write EPROTO unexpected message');
  const cause = new Error('error:0A0000B9:SSL routines::no cipher match');
  assert.equal(explain(new Error('not accepted', { cause })), 'not accepted: no cipher match');
  const advised =
    'unable to verify the first certificate; if the root CA is installed locally, try running Node.js with --use-system-ca';
  assert.equal(explain(new Error(advised)), 'unable to verify the first certificate');
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
