import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { folder } from './config.testing.ts';
import { ConfigError } from './errors.ts';
import { cases } from './grammar.testing.ts';
import { loadConfiguration } from './load.ts';
import { families } from './registry.ts';

const source = { file: 't.conf', defines: [], before: [], after: [], environment: {} };

test('no text makes it fail other than by a ConfigError with a place', (t) => {
  const serverRoot = folder(t);
  const names = families.flatMap((family) => family.directives.map((directive) => directive.name));
  const lines = cases.flatMap(([text]) => text.split('\n'));
  const word = fc.oneof(
    fc.constantFrom(...names, ...names.map((name) => `</${name.slice(1)}>`)),
    fc.constantFrom(
      '>',
      '"',
      "'",
      '\\',
      '~',
      '!',
      '*',
      '_default_',
      '${A}',
      '#',
      '\0',
      '%',
      '=',
      ':',
      '-',
      '[',
    ),
    fc.constantFrom(
      'on',
      'auto',
      'all',
      'ip',
      'not',
      'set',
      '80:80',
      '1',
      '99999999999999999999',
      '::1',
      '.',
    ),
    fc.string({ unit: 'binary', maxLength: 12 }),
  );
  const line = fc.oneof(
    fc.constantFrom(...lines),
    fc.array(word, { maxLength: 5 }).map((all) => all.join(' ')),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), (all) => {
      // Names of hosts and of folders would be looked up.
      const text = all.filter((one) => !/include|listen|<virtualhost(?! \*)/i.test(one)).join('\n');
      writeFileSync(join(serverRoot, 't.conf'), text);
      try {
        loadConfiguration({ ...source, serverRoot });
      } catch (error) {
        assert.ok(error instanceof ConfigError, `${text}\n${String(error)}`);
        assert.ok(error.line !== undefined && error.line >= 1, text);
      }
    }),
    { numRuns: 1500 },
  );
});
