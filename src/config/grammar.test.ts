import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';
import { cases } from './grammar.testing.ts';

test('configurations are accepted and refused as httpd does, at the same lines', (t) => {
  for (const [text, expected] of cases) {
    if (expected === 'ok') {
      assert.doesNotThrow(() => load(t, text), text);
    } else {
      const error = refusal(t, text);
      assert.equal(error.line, expected, `${text}\n${error.format()}`);
    }
  }
});
