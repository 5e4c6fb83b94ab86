import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { HeadReader, ScriptOutputError } from './head.ts';
import type { ScriptHead } from './head.ts';

/** What is read of output that comes in pieces of these sizes. */
function read(output: Buffer, sizes: readonly number[]) {
  const reader = new HeadReader();
  let at = 0;
  for (const size of [...sizes, output.length]) {
    const found = reader.push(output.subarray(at, at + size));
    at = Math.min(output.length, at + size);
    if (found)
      return { head: found.head, rest: Buffer.concat([found.rest, output.subarray(at)]).toString('latin1') };
  }
  return undefined;
}

const nothing: ScriptHead = {
  status: undefined,
  reason: undefined,
  location: undefined,
  length: undefined,
  fields: [],
};

test('the head ends at the first empty line, however output is cut and lines end', () => {
  const output = Buffer.from(
    'Status: 404 Not Here\r\nX-A:1\nLocation: /x\r\nContent-Length: 5 \n\r\n\nbody\r\n\r\n',
  );
  const head = { status: 404, reason: 'Not Here', location: '/x', length: 5, fields: [['X-A', '1']] };
  fc.assert(
    fc.property(fc.array(fc.nat(12), { maxLength: 40 }), (sizes) => {
      assert.deepEqual(read(output, sizes), { head, rest: '\nbody\r\n\r\n' });
    }),
  );
});

test('an empty head is one', () => {
  assert.deepEqual(read(Buffer.from('\nbody'), []), { head: nothing, rest: 'body' });
  assert.deepEqual(read(Buffer.from('\r\nbody'), [1]), { head: nothing, rest: 'body' });
});

test('whatever a script writes is a head, no head yet, or a named error', () => {
  const line = fc.oneof(
    fc.constantFrom(
      'Status: 200',
      'Status: 1000',
      'Content-Length: 9',
      'Content-Length: x',
      'A: b',
      ': x',
      'A',
      '',
    ),
    fc.string({ unit: 'binary', maxLength: 30 }),
  );
  fc.assert(
    fc.property(fc.array(line), fc.constantFrom('\n', '\r\n', '\r'), (lines, end) => {
      try {
        const head = read(Buffer.from(lines.join(end)), [3, 5, 7])?.head;
        for (const [name, value] of head?.fields ?? []) {
          // oxlint-disable-next-line eslint/no-control-regex -- control characters are what is looked for
          assert.doesNotMatch(name + value, /[\0-\x08\x0a-\x1f\x7f]/);
        }
      } catch (error) {
        assert.ok(error instanceof ScriptOutputError);
      }
    }),
  );
});
