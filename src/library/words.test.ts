import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLatchkey } from './library.testing.ts';
import { worded } from './words.ts';

test('texts speak of options, wherever they stand, and all else stays', () => {
  const data = {
    detail: 'look at MDPrivateKeys and MDMustStaple',
    list: [{ remedy: 'name it in MDCACertificateFile.' }, 7, undefined],
    name: 'mdprofile.example',
    MDProfile: null,
  };
  assert.deepEqual(worded(data), {
    detail: 'look at the option keys and MDMustStaple',
    list: [{ remedy: 'name it in the option authorityCa.' }, 7, undefined],
    name: 'mdprofile.example',
    MDProfile: null,
  });
});

test('what a program hears, logs, asks for and catches is said in options', async () => {
  const lines: string[] = [];
  const line = (text: string) => lines.push(text);
  const logger = { error: line, warn: line, info: line, debug: line };
  await using latchkey = await openLatchkey({
    logger,
    issuer: async () => {
      throw new Error('see MDPrivateKeys');
    },
  });
  const heard: string[] = [];
  latchkey.on('renewal:failed', ({ problem }) => heard.push(problem.detail));
  latchkey.start();
  await assert.rejects(latchkey.renew('example.org'), /see the option keys/);
  assert.match(heard.join(), /see the option keys/);
  assert.match(latchkey.status()[0]?.problem?.detail ?? '', /see the option keys/);
  assert.match(lines.join('\n'), /processing example\.org: The issuer gives none: see the option keys/);
  assert.doesNotMatch(lines.join('\n'), /MDPrivateKeys/);
});
