import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { tokenDigest } from '../base/bearer.ts';
import { answerStore, type FindPair, type StoreQuestion } from './protocol.ts';

const pair = { cert: 'CHAIN\n', key: 'KEY\n' };
const only: FindPair = async (name) => (name === 'example.com' ? pair : undefined);
const unasked: FindPair = async () => assert.fail('nothing is looked for');

function question(over: Partial<StoreQuestion> = {}): StoreQuestion {
  return {
    method: 'GET',
    path: '/certs/example.com',
    authorization: undefined,
    ifNoneMatch: undefined,
    plainHost: undefined,
    ...over,
  };
}

suite('the store protocol', () => {
  test('gives certificate and key as JSON on which newlines are escaped', async () => {
    const { status, headers, body } = await answerStore(question(), undefined, only);
    assert.equal(status, 200);
    assert.equal(headers['Content-Type'], 'application/json');
    assert.deepEqual(JSON.parse(body), pair);
    assert.match(body, /"cert": "CHAIN\\n"/);
  });

  test('finds names in any case, and has 404 for those it does not know and those that are none', async () => {
    assert.equal((await answerStore(question({ path: '/x/EXAMPLE.com.' }), undefined, only)).status, 200);
    for (const path of [
      '/certs/example.org',
      '/certs/',
      '/certs/192.0.2.1',
      '/certs/..',
      '/certs/a\0b',
      '/certs/*.example.com',
    ]) {
      assert.equal((await answerStore(question({ path }), undefined, only)).status, 404, path);
    }
  });

  test('without the token has 401, whatever is asked for', async () => {
    const digest = tokenDigest('secret');
    for (const authorization of [
      undefined,
      '',
      'Bearer',
      'Bearer wrong',
      'Basic secret',
      'secret',
      'Bearer secrets',
      `Bearer ${'s'.repeat(10_000)}`,
    ]) {
      const { status, headers } = await answerStore(question({ authorization }), digest, unasked);
      assert.equal(status, 401, authorization);
      assert.equal(headers['WWW-Authenticate'], 'Bearer');
    }
    for (const authorization of ['Bearer secret', 'bearer  secret ']) {
      assert.equal((await answerStore(question({ authorization }), digest, only)).status, 200);
    }
  });

  test('without a token gives nothing over http to a page that was made to lead here', async () => {
    const digest = tokenDigest('secret');
    for (const plainHost of ['evil.example:8888', '']) {
      const { status, body } = await answerStore(question({ plainHost }), undefined, unasked);
      assert.deepEqual([status, body.includes('KEY')], [403, false]);
      const authorization = 'Bearer secret';
      assert.equal((await answerStore(question({ plainHost, authorization }), digest, only)).status, 200);
    }
    assert.equal((await answerStore(question({ plainHost: 'localhost:8888' }), undefined, only)).status, 200);
  });

  test('has 304 for who knows the certificate, until it is another', async () => {
    const { headers } = await answerStore(question(), undefined, only);
    const tag = headers['ETag'] ?? '';
    for (const ifNoneMatch of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      const known = await answerStore(question({ ifNoneMatch }), undefined, only);
      assert.deepEqual([known.status, known.body, known.headers['ETag']], [304, '', tag]);
    }
    const renewed = async () => ({ cert: 'NEXT\n', key: 'KEY\n' });
    assert.equal((await answerStore(question({ ifNoneMatch: tag }), undefined, renewed)).status, 200);
  });

  test('takes no other method than GET and HEAD', async () => {
    const { status, headers } = await answerStore(question({ method: 'POST' }), undefined, unasked);
    assert.deepEqual([status, headers['Allow']], [405, 'GET, HEAD']);
  });
});
