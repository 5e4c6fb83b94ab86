import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { page, render } from '../../scripts/directives.ts';

test('docs/directives.md is what the declarations say (else: node scripts/directives.ts)', () => {
  assert.equal(readFileSync(page, 'utf8'), render());
});
