import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { tokenDigest } from '../../base/bearer.ts';
import type { Exchange } from '../../http/exchange.ts';
import { storeHandlers } from './store-handler.ts';

interface Client {
  readonly secure?: boolean;
  readonly remoteAddress?: string;
  readonly authority?: string;
  readonly token?: string;
  /** Has shown a certificate. */
  readonly certificate?: boolean;
}

interface Place {
  readonly token?: string;
  readonly clientAuth?: 'none' | 'require';
}

/** The status of an answer, and whether a key is in it. */
async function ask(client: Client, { token, clientAuth = 'none' }: Place = {}): Promise<[number, boolean]> {
  const { secure = false, remoteAddress = '127.0.0.1', authority = 'localhost' } = client;
  let [status, body] = [0, ''];
  const exchange = {
    method: 'GET',
    path: '/certs/a.example',
    authority,
    request: { headers: client.token === undefined ? {} : { authorization: `Bearer ${client.token}` } },
    connection: { secure, remoteAddress, tls: { client: client.certificate ? {} : undefined } },
    directory: token === undefined ? {} : { serveTokenDigest: tokenDigest(token) },
    host: { tls: { clientAuth } },
    response: {
      setHeader: () => {},
      set statusCode(value: number) {
        status = value;
      },
      end: (text: string) => void (body = text),
    },
    fail: async (code: number) => void (status = code),
  } as unknown as Exchange;
  const supervisor = { call: async () => ({ cert: 'CHAIN', key: 'KEY' }) };
  await storeHandlers(supervisor as unknown as Parameters<typeof storeHandlers>[0])['dynssl-store']?.(
    exchange,
  );
  return [status, body.includes('KEY')];
}

suite('the handler dynssl-store', () => {
  test('gives keys to other machines over https only', async () => {
    assert.deepEqual(await ask({ remoteAddress: '192.0.2.1' }), [403, false]);
    assert.deepEqual(await ask({ remoteAddress: '192.0.2.1', secure: true }), [200, true]);
    assert.deepEqual(await ask({ remoteAddress: '::ffff:127.0.0.1' }), [200, true]);
  });

  test('with a token gives them to who has it', async () => {
    assert.deepEqual(await ask({ token: 'wrong' }, { token: 'right' }), [401, false]);
    assert.deepEqual(await ask({ token: 'right' }, { token: 'right' }), [200, true]);
  });

  test('gives none to a web page on this machine that has its own name lead here', async () => {
    assert.deepEqual(await ask({ authority: 'evil.example' }), [403, false]);
    assert.deepEqual(await ask({ authority: 'evil.example', secure: true }), [200, true]);
  });

  test('behind client certificates gives none to who has shown none, over http or by another host', async () => {
    const place = { clientAuth: 'require' } as const;
    assert.deepEqual(await ask({}, place), [403, false]);
    assert.deepEqual(await ask({ secure: true }, place), [403, false]);
    assert.deepEqual(await ask({ secure: true, certificate: true }, place), [200, true]);
    assert.deepEqual(await ask({ token: 'right' }, { ...place, token: 'right' }), [200, true]);
  });
});
