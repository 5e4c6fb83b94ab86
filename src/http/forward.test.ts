/** The forward proxy, with curl and raw bytes in front of it and real servers behind. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { freePorts, run } from '../../test/latchkey.testing.ts';
import { silent } from '../base/log.ts';
import type { ForwardProxySettings, RequireRule, Settings } from '../config/settings.ts';
import { serve, type Served } from './frontend.testing.ts';
import { createProxy } from './proxy/proxy.ts';
import { httpBackend, rawBackend } from './proxy/proxy.testing.ts';
import { at, defaultLimits, section, settingsOf, virtualHost } from './settings.testing.ts';

const skip = spawnSync('curl', ['--version']).error ? 'curl is not installed' : false;

const anyone: RequireRule = { kind: 'all', granted: true };
const nobody: RequireRule = { kind: 'ip', networks: ['192.0.2.0/24'] };

interface Choices {
  readonly rule?: RequireRule | undefined;
  readonly ports?: ForwardProxySettings['connectPorts'];
  readonly timeout?: number;
  readonly headers?: Parameters<typeof section>[1]['headers'];
}

const everyPort = [{ from: 1, to: 65_535 }];

function proxying({ rule, ports = everyPort, timeout = 60_000, headers }: Choices): Settings {
  const guard = section(
    { kind: 'proxy', url: '*' },
    { ...(rule && { require: { rule } }), ...(headers && { headers }) },
  );
  return settingsOf({
    hosts: [
      virtualHost('own.test', {
        forwardProxy: { at, connectPorts: ports },
        sections: [guard],
        limits: { ...defaultLimits, timeout },
        requireHttps: 'permanent',
      }),
    ],
  });
}

async function start(t: TestContext, choices: Choices): Promise<Served> {
  const proxy = createProxy({ log: () => silent('proxy') });
  const served = await serve(proxying(choices), { proxy });
  t.after(async () => {
    await served[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });
  return served;
}

const get = (url: string, host: string, more = '') =>
  `GET ${url} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${more}\r\n`;

const statusOf = (answer: string) => Number(answer.split(' ')[1]);

test('a URL of another server is fetched, byte for byte, and nothing is told of the client', async (t) => {
  const seen: (string | undefined)[] = [];
  const url = await httpBackend(t, (request, response) => {
    seen.push(request.url, request.headers.host, ...Object.keys(request.headers).sort());
    response.writeHead(302, { location: `${url}/next`, 'content-length': 7 }).end('fetched');
  });
  const served = await start(t, { rule: anyone });
  const { host } = new URL(url);
  const more =
    'Proxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\nX-Forwarded-For: 10.1.1.1\r\n';
  const answer = await served.raw(get(`${url}/@scope%2Fname//x?y=%20#`.slice(0, -1), 'lies.test', more));
  assert.match(answer, /^HTTP\/1\.1 302 [^]*fetched$/);
  assert.match(answer, new RegExp(`\r\nlocation: ${url}/next\r\n`));
  assert.deepEqual(seen, ['/@scope%2Fname//x?y=%20', host, 'connection', 'host', 'x-forwarded-for']);
});

test('without a Require nobody gets through, with one those it names', async (t) => {
  const url = await httpBackend(t, () => assert.fail('reached'));
  for (const rule of [undefined, nobody]) {
    const served = await start(t, { rule });
    const { host } = new URL(url);
    assert.equal(statusOf(await served.raw(get(url, host))), 403);
    assert.equal(statusOf(await served.raw(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)), 403);
  }
});

test('a server that is no forward proxy stays none', async (t) => {
  const proxy = createProxy({ log: () => silent('proxy') });
  t.after(() => proxy[Symbol.asyncDispose]());
  const url = await httpBackend(t, () => assert.fail('reached'));
  await using served = await serve(settingsOf({ hosts: [virtualHost('own.test')] }), { proxy });
  assert.equal(statusOf(await served.raw(get(url, 'own.test'))), 404);
  const { host } = new URL(url);
  assert.equal(statusOf(await served.raw(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)), 405);
});

test('its own URLs are its own, in absolute form, too', async (t) => {
  const served = await start(t, { rule: nobody });
  assert.match(await served.raw(get(`http://own.test:${served.port}/x`, 'own.test')), / 302 | 301 /);
  assert.match(await served.raw(get('/x', 'own.test')), / 302 | 301 /);
});

test('curl fetches through it, and through a tunnel', { skip }, async (t) => {
  const url = await httpBackend(t, (request, response) => response.end(`${request.method} ${request.url}`));
  const served = await start(t, { rule: anyone });
  const proxy = ['-s', '--noproxy', '', '-x', `http://127.0.0.1:${served.port}`];
  assert.equal((await run('curl', [...proxy, `${url}/a?b`])).stdout, 'GET /a?b');
  assert.equal((await run('curl', [...proxy, '--proxytunnel', '-d', 'body', `${url}/c`])).stdout, 'POST /c');
});

test('a tunnel carries both ways what came early, and ends with either end', async (t) => {
  const url = await rawBackend(t, (socket, received) => {
    socket.write(received.toUpperCase());
    if (received.includes('bye')) socket.end();
  });
  const served = await start(t, { rule: anyone });
  const { host } = new URL(url);
  const answer = await served.raw(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\nbye now`);
  assert.equal(answer, 'HTTP/1.1 200 Connection Established\r\n\r\nBYE NOW');
});

test('a tunnel leads only to ports of AllowCONNECT, and to where there are host and port', async (t) => {
  const served = await start(t, { rule: anyone, ports: [{ from: 443, to: 443 }] });
  const connect = (target: string) => served.raw(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.equal(statusOf(await connect('127.0.0.1:22')), 403);
  for (const target of [
    '127.0.0.1',
    '127.0.0.1:0',
    '127.0.0.1:99999',
    '/',
    'http://a.test/',
    'user@a.test:443',
  ])
    assert.equal(statusOf(await connect(target)), 400, target);
});

test('nobody at the other end is 502, a name that leads nowhere, too', async (t) => {
  const [port = 0] = await freePorts(1);
  const served = await start(t, { rule: anyone });
  const connect = (target: string) => served.raw(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.equal(statusOf(await connect('nowhere.invalid:443')), 502);
  assert.equal(statusOf(await served.raw(get('http://nowhere.invalid/', 'nowhere.invalid'))), 502);
  assert.equal(statusOf(await connect(`127.0.0.1:${port}`)), 502);
});

test('a silent tunnel ends after ProxyTimeout', async (t) => {
  const url = await rawBackend(t, () => {});
  const served = await start(t, { rule: anyone, timeout: 1000 });
  const { host } = new URL(url);
  const answer = await served.raw(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  assert.equal(answer, 'HTTP/1.1 200 Connection Established\r\n\r\n');
});

test('what is no request for a proxy is refused before anything is asked for', async (t) => {
  const url = await httpBackend(t, () => assert.fail('reached'));
  const { host } = new URL(url);
  const served = await start(t, { rule: anyone });
  assert.equal(statusOf(await served.raw(`GET ${url}/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`)), 400);
  assert.equal(statusOf(await served.raw(get(`http://user:pass@${host}/`, host))), 400);
  assert.equal(statusOf(await served.raw(get('ftp://a.test/', 'a.test'))), 400);
  assert.equal(statusOf(await served.raw(get('http://a.test:0/', 'a.test'))), 400);
  assert.equal(statusOf(await served.raw(get(`${url}/`, 'a b'))), 400);
});

test('the host’s HSTS is not laid on other servers’ answers', async (t) => {
  const url = await httpBackend(t, (_, response) => response.end('plain'));
  const served = await start(t, { rule: anyone });
  assert.doesNotMatch(await served.raw(get(url, new URL(url).host)), /strict-transport/i);
});
