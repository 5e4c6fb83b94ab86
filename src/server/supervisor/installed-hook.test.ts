import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../base/log.ts';
import { InstalledHook } from './installed-hook.ts';

const none = { notify: undefined, message: undefined };
const some = { notify: undefined, message: ['true'] };

test('a command is told once of what was activated while there was one', async () => {
  const hook = new InstalledHook(silent('md'));
  hook.note('a.example.org', ['01'], some);
  hook.note('b.example.org', ['02'], none);
  assert.deepEqual(await hook.tell('a.example.org', some), { ran: true, problem: undefined });
  assert.deepEqual(await hook.tell('a.example.org', some), { ran: false });
  hook.note('a.example.org', ['01'], some);
  assert.deepEqual(await hook.tell('a.example.org', some), { ran: false });
  // What a reload brings is not told of what is old by then.
  assert.deepEqual(await hook.tell('b.example.org', some), { ran: false });
});
