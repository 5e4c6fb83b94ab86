import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PkiError } from './errors.ts';
import { pemBlocks, toPem } from './pem.ts';

const label = fc.stringMatching(/^[A-Z]{1,10}( [A-Z0-9]{1,10})?$/);

test('what is written is found again, whatever stands around it', () => {
  const noise = fc.string().map((text) => text.replaceAll('-', ''));
  const blocks = fc.array(fc.tuple(label, fc.uint8Array({ maxLength: 300 }), noise), { maxLength: 10 });
  fc.assert(
    fc.property(blocks, (blocks) => {
      const text = blocks.map(([label, der, noise]) => `${noise}\n${toPem(label, der)}`).join('');
      const expected = blocks.map(([label, der]) => ({ label, pem: toPem(label, der) }));
      assert.deepEqual(pemBlocks(text), expected);
    }),
  );
});

test('any text gives blocks or a named error', () => {
  const piece = fc.constantFrom('-----BEGIN ', '-----END ', '-----', 'CERTIFICATE', '\n', 'MIIB', '\0', ' ');
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      try {
        pemBlocks(pieces.join(''));
      } catch (error) {
        assert(error instanceof PkiError && error.code === 'pem-unreadable', String(error));
      }
    }),
  );
});

test('carriage returns are kept: readers of PEM know them', () => {
  const pem = toPem('CERTIFICATE', Buffer.alloc(100)).replaceAll('\n', '\r\n');
  assert.deepEqual(
    pemBlocks(pem + pem).map((block) => block.pem.trim()),
    [pem.trim(), pem.trim()],
  );
});

test('a block that is cut off is an error, not the end', () => {
  const whole = toPem('CERTIFICATE', Buffer.alloc(100));
  assert.throws(() => pemBlocks(whole + whole.slice(0, -10)), { code: 'pem-unreadable', message: /cut off/ });
});

test('bounds hold: size and number', () => {
  const one = toPem('X', Buffer.alloc(1));
  assert.throws(() => pemBlocks(one.repeat(3), { blocks: 2 }), {
    code: 'pem-unreadable',
    message: /more than 2/i,
  });
  assert.throws(() => pemBlocks('x'.repeat(101), { size: 100 }), {
    code: 'pem-unreadable',
    message: /longer/,
  });
});

test('errors quote nothing of what was read', () => {
  assert.throws(
    () => pemBlocks('-----BEGIN secret-----'),
    (error: Error) => !error.message.includes('secret'),
  );
});
