import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSslRequire } from '../config/ssl-require.ts';
import { serve } from './frontend.testing.ts';
import { hostSettings, settingsOf, virtualHost } from './settings.testing.ts';
import { tlsRefusal as refusalBy } from './tls-demands.ts';

type Asked = Parameters<typeof refusalBy>[0];

const tlsRefusal = (exchange: Asked) => refusalBy(exchange, ({ source }) => source === 'met');

/** A request for /secret, secure or not, at a place that asks for this. */
function asked(secure: boolean, directory: Asked['directory'], more: Partial<Asked> = {}): Asked {
  const connection = { secure } as Asked['connection'];
  return { connection, directory, host: hostSettings(), path: '/secret', ...more } as Asked;
}

test('SSLRequireSSL lets nobody in without TLS', () => {
  const place = { requireSsl: true };
  assert.equal(
    tlsRefusal(asked(false, place)),
    'AH02219: access to /secret failed, reason: SSL connection required',
  );
  assert.equal(tlsRefusal(asked(true, place)), undefined);
  assert.equal(tlsRefusal(asked(false, {})), undefined);
});

test('SSLVerifyClient in a section lets in who has shown a certificate, by TLS', () => {
  const place = { clientAuth: 'require' } as const;
  const client = {} as NonNullable<Asked['connection']['tls']>['client'];
  const tls = { protocol: 'TLSv1.3', cipher: 'any', client };
  const known = { connection: { secure: true, tls } as Asked['connection'] };
  assert.equal(tlsRefusal(asked(true, place, known)), undefined);
  assert.match(
    tlsRefusal(asked(true, place)) ?? '',
    /SSLVerifyClient optional belongs into the virtual host$/,
  );
  assert.match(tlsRefusal(asked(false, place)) ?? '', /^AH02222: /);
  const host = { ...hostSettings(), tls: { ...hostSettings().tls, clientAuth: 'optional' as const } };
  assert.match(tlsRefusal(asked(true, place, { host })) ?? '', /the client has shown no certificate$/);
});

test('all of SSLRequire have to be met', () => {
  const condition = (source: string) => ({ source, root: { kind: 'constant', value: true } }) as const;
  const [met, unmet] = [condition('met'), condition('unmet')];
  assert.equal(tlsRefusal(asked(true, { sslRequire: [met, met] })), undefined);
  assert.equal(
    tlsRefusal(asked(true, { sslRequire: [met, unmet] })),
    'AH02229: access to /secret failed, reason: SSL requirement expression not fulfilled: unmet',
  );
  assert.match(tlsRefusal(asked(false, { sslRequire: [unmet] })) ?? '', /^AH02229/);
});

test('a request that does not meet what its place demands gets 403', async () => {
  const ask = async (directory: Asked['directory']) => {
    await using served = await serve(settingsOf({ hosts: [virtualHost('a.test', { directory })] }));
    return await served.raw('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
  };
  assert.match(await ask({}), /^HTTP\/1\.1 404 /);
  assert.match(await ask({ requireSsl: true }), /^HTTP\/1\.1 403 /);
  const [tls, get] = ['%{SSL_PROTOCOL} eq "TLSv1.3"', '%{REQUEST_METHOD} eq "GET"'].map(parseSslRequire);
  assert.ok(tls && get);
  assert.match(await ask({ sslRequire: [get] }), /^HTTP\/1\.1 404 /);
  assert.match(await ask({ sslRequire: [get, tls] }), /^HTTP\/1\.1 403 /);
});
