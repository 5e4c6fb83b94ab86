/** The way of a request through the pipeline, seen from outside. */
import assert from 'node:assert/strict';
import { spawnSync, execFile } from 'node:child_process';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { createLoggers } from '../base/log.ts';
import { parseExpression } from '../config/expression.ts';
import type { ConfiguredDomain, HostTls, Settings, VirtualHostSettings } from '../config/settings.ts';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import type { Handler, ProxyHandler } from './exchange.ts';
import type { Credential, Served } from './frontend.testing.ts';
import { mirror, serve } from './frontend.testing.ts';
import { requestHeaders } from './proxy/request-headers.ts';
import { parseTarget } from './proxy/target.ts';
import { hostSettings, section, settingsOf, virtualHost } from './settings.testing.ts';

const run = promisify(execFile);
const withoutCurl = spawnSync('curl', ['--version']).error ? 'curl is not installed' : false;

let root = '';
let credential: Credential;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'latchkey-requests-'));
  await mkdir(join(root, 'sub'));
  await mkdir(join(root, '.well-known/acme-challenge'), { recursive: true });
  await writeFile(join(root, 'index.html'), 'index');
  await writeFile(join(root, 'sub/default.txt'), 'default');
  await writeFile(join(root, 'missing.html'), 'custom page');
  await writeFile(join(root, '.well-known/acme-challenge/own'), 'from a file');
  const { certPem: cert, keyPem: key } = await createFallbackCertificate({
    names: ['a.test', 'b.test'],
    now: Date.now(),
  });
  credential = { cert, key };
});

after(() => rm(root, { recursive: true }));

const host = (changes: Partial<VirtualHostSettings> = {}) =>
  virtualHost('a.test', { documentRoot: root, ...changes });
const settings = (changes: Partial<VirtualHostSettings> = {}) => settingsOf({ hosts: [host(changes)] });

async function get(served: Served, path: string, headers = '', method = 'GET'): Promise<string> {
  const name = headers.includes('Host:') ? '' : 'Host: a.test\r\n';
  return served.raw(`${method} ${path} HTTP/1.1\r\n${name}Connection: close\r\n${headers}\r\n`);
}

const status = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
const field = (answer: string, name: string) => new RegExp(`^${name}: (.*)\r$`, 'mi').exec(answer)?.[1];
const body = (answer: string) => answer.slice(answer.indexOf('\r\n\r\n') + 4);

test('challenges come before redirects, proxies and access rules', async () => {
  const denied = { require: { rule: { kind: 'all', granted: false } } } as const;
  const mappings = [
    { kind: 'redirect', from: '/', status: 301, to: 'https://a.test/' },
    { kind: 'proxy', from: '/', to: 'http://b.test/', parameters: {} },
  ] as const;
  const challenges = { http01: async (name: string) => (name === 'a.test' ? 'token.thumbprint' : undefined) };
  const all = settings({ mappings, directory: denied, requireHttps: 'permanent' });
  await using served = await serve(all, { challenges });
  const answer = await get(served, '/.well-known/acme-challenge/any');
  assert.equal(status(answer), 200);
  assert.equal(body(answer), 'token.thumbprint');
  assert.equal(status(await get(served, '/.well-known/acme-challenge/')), 403);
  assert.equal(status(await get(served, '/.well-known/acme-challenge/x', '', 'POST')), 403);
});

test('without a challenge a known host answers from its files, an unknown name gets 404', async () => {
  const domains = [{} as ConfiguredDomain];
  await using served = await serve(settingsOf({ hosts: [host()], domains }));
  assert.equal(body(await get(served, '/.well-known/acme-challenge/own')), 'from a file');
  assert.equal(status(await get(served, '/.well-known/acme-challenge/own', 'Host: x.test\r\n')), 404);
  assert.equal(status(await get(served, '/.well-known/acme-challenge/other')), 404);
});

test('MDRequireHttps redirects by method, without port, and leaves /.well-known/ alone', async () => {
  await using temporary = await serve(settings({ requireHttps: 'temporary' }));
  const first = await get(temporary, '/a%20b?c=d', 'Host: A.test:8080\r\n');
  assert.equal(status(first), 302);
  assert.equal(field(first, 'Location'), 'https://a.test/a%20b?c=d');
  assert.equal(status(await get(temporary, '/', '', 'POST')), 307);
  assert.equal(status(await get(temporary, '/.well-known/x')), 404);
  temporary.frontend.reconfigure(settings({ requireHttps: 'permanent' }));
  const second = await get(temporary, '/');
  assert.equal(status(second), 301);
  assert.equal(field(second, 'Strict-Transport-Security'), undefined);
  assert.equal(status(await get(temporary, '/', '', 'HEAD')), 301);
  assert.equal(status(await get(temporary, '/', '', 'PUT')), 308);
});

test('over HTTPS permanent adds HSTS; an own Header set wins', { skip: withoutCurl }, async () => {
  await using served = await serve(settings({ requireHttps: 'permanent' }), {}, credential);
  assert.equal(field(await curl(served, '/'), 'strict-transport-security'), 'max-age=15768000');
  const headers = [rule('set', 'Strict-Transport-Security', 'max-age=1')];
  served.frontend.reconfigure(settings({ requireHttps: 'permanent', directory: { headers } }));
  assert.equal(field(await curl(served, '/'), 'strict-transport-security'), 'max-age=1');
});

test('curl gets pages over HTTP/1.1 and HTTP/2', { skip: withoutCurl }, async () => {
  await using served = await serve(settings(), {}, credential);
  assert.match(await curl(served, '/', '--http1.1'), /^HTTP\/1\.1 200 OK[^]*index$/);
  assert.match(await curl(served, '/', '--http2'), /^HTTP\/2 200[^]*index$/);
  assert.match(await curl(served, '/', '--http2', '-I'), /content-length: 5/);
  assert.match(await curl(served, '/', '--http2', '-r', '1-2'), /^HTTP\/2 206[^]*nd$/);
});

/** What httpd 2.4.71 answers, but for certificates: there `secure` wants the same. */
const ALLOWED: Record<string, readonly Settings['sniPolicy'][]> = {
  nothing: ['secure', 'authonly', 'insecure'],
  certificates: ['secure', 'authonly', 'insecure'],
  cipherOrder: ['secure', 'authonly', 'insecure'],
  sessions: ['secure', 'authonly', 'insecure'],
  strictSni: ['secure', 'authonly', 'insecure'],
  minVersion: ['authonly', 'insecure'],
  maxVersion: ['authonly', 'insecure'],
  ciphers: ['authonly', 'insecure'],
  ciphersuites: ['authonly', 'insecure'],
  groups: ['authonly', 'insecure'],
  clientAuth: ['insecure'],
  clientCa: ['insecure'],
  clientDepth: ['insecure'],
};

const DIFFERENCES: Partial<HostTls> = {
  certificates: [{ certificateFile: '/c', keyFile: '/k', chainFile: undefined, at: { file: '', line: 1 } }],
  cipherOrder: 'server',
  sessions: { tickets: false, timeout: 1, ticketKeyFile: undefined },
  strictSni: true,
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.2',
  ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  ciphersuites: 'TLS_AES_128_GCM_SHA256',
  groups: 'P-256',
  clientAuth: 'require',
  clientCa: '/other/ca.pem',
  clientDepth: 5,
};

/** Requests for b.test on a connection that was made for a.test, whose TLS is the same but for `difference`. */
const misdirected = (sniPolicy: Settings['sniPolicy'], difference: Partial<HostTls>) =>
  settingsOf({
    sniPolicy,
    hosts: [
      host(),
      virtualHost('b.test', { documentRoot: root, tls: { ...hostSettings().tls, ...difference } }),
    ],
  });

test('a host whose TLS differs in what SSLVHostSNIPolicy minds is misdirected', async () => {
  await using served = await serve(misdirected('secure', {}), {}, credential);
  for (const [name, allowing] of Object.entries(ALLOWED)) {
    for (const policy of ['strict', 'secure', 'authonly', 'insecure'] as const) {
      const difference = Object.entries(DIFFERENCES).filter(([key]) => key === name);
      served.frontend.reconfigure(misdirected(policy, Object.fromEntries(difference)));
      const answer = await secureGet(served, 'b.test', 'a.test');
      assert.equal(status(answer), allowing.includes(policy) ? 200 : 421, `${policy}: ${name}`);
    }
  }
});

test('who names no host in the handshake is not served where that is strict', async () => {
  const of = (serverName: string, strictSni: boolean) =>
    virtualHost(serverName, { documentRoot: root, tls: { ...hostSettings().tls, strictSni } });
  const hosts = [of('a.test', false), of('b.test', true), of('192.0.2.1', true), of('2001:db8::1', true)];
  await using served = await serve(settingsOf({ hosts }), {}, credential);
  const answer = async (host: string, sni?: string) => status(await secureGet(served, host, sni));
  assert.equal(await answer('a.test'), 200);
  assert.equal(await answer('b.test'), 403);
  assert.equal(await answer('b.test', 'b.test'), 200);
  // Nobody can name an address there.
  assert.equal(await answer('192.0.2.1'), 200);
  assert.equal(await answer('[2001:db8::1]'), 200);

  await using strict = await serve(
    settingsOf({ hosts: [of('b.test', true), of('a.test', false)] }),
    {},
    credential,
  );
  assert.equal(status(await secureGet(strict, 'a.test')), 403, 'the first host speaks for all');
});

test('HTTP/2 tells a client that it is misdirected', { skip: withoutCurl }, async () => {
  await using served = await serve(misdirected('secure', { clientAuth: 'require' }), {}, credential);
  assert.match(await curl(served, '/', '-H', 'Host: b.test'), /^HTTP\/2 421/);
  assert.match(await curl(served, '/'), /^HTTP\/2 200/);
});

test(
  'a managed host with only a stopgap certificate answers 503 on every path but challenges',
  { skip: withoutCurl },
  async () => {
    let fallback = true;
    const challenges = { http01: async () => 'proof' };
    const managed = settings({ managedDomain: 'a.test', requireHttps: 'permanent' });
    await using served = await serve(managed, { challenges, isFallback: () => fallback }, credential);
    const refused = await curl(served, '/');
    assert.match(refused, /^HTTP\/2 503/);
    assert.doesNotMatch(refused, /strict-transport-security/i, 'a promise that could not be kept yet');
    assert.match(await curl(served, '/.well-known/acme-challenge/t'), /proof$/);
    fallback = false;
    assert.match(await curl(served, '/'), /^HTTP\/2 200[^]*strict-transport-security: max-age=15768000/);
  },
);

test('who is denied is logged as httpd does, by the module whose business it is', async () => {
  const lines: string[] = [];
  const loggers = createLoggers(
    (line) => lines.push(line),
    () => ({ all: 'error', modules: {} }),
  );
  const closed = settings({ directory: { require: { rule: { kind: 'all', granted: false } } } });
  await using served = await serve(closed, { loggers });
  assert.equal(status(await get(served, '/')), 403);
  served.frontend.reconfigure(settings());
  assert.equal(status(await get(served, '/.htpasswd')), 403);
  assert.equal(lines.length, 2);
  for (const line of lines) {
    assert.match(
      line,
      /\[authz_core:error\] .*\[client 127\.0\.0\.1:\d+\] AH01630: client denied by server configuration: \//,
    );
  }
});

test('DirectoryIndex tries names in order; without any, 403 or a listing', async () => {
  await using served = await serve(settings());
  assert.equal(status(await get(served, '/sub/')), 403);
  assert.equal(field(await get(served, '/sub?x'), 'Location'), 'http://a.test/sub/?x');
  served.frontend.reconfigure(settings({ directory: { directoryIndex: ['index.php', 'default.txt'] } }));
  assert.equal(body(await get(served, '/sub/')), 'default');
  const options = { kind: 'set', options: ['Indexes', 'FollowSymLinks'] } as const;
  served.frontend.reconfigure(settings({ directory: { options } }));
  assert.match(await get(served, '/sub/'), /<a href="default\.txt"> default\.txt<\/a>/);
});

test('error documents: a text, a page of the same host, a URL; each keeps to itself', async () => {
  const document = (kind: object) => settings({ directory: { errorDocuments: { 404: kind as never } } });
  await using served = await serve(document({ kind: 'path', path: '/missing.html' }));
  const page = await get(served, '/nope', 'Range: bytes=0-1\r\nIf-None-Match: *\r\n');
  assert.equal(status(page), 404);
  assert.equal(body(page), 'custom page');
  assert.equal(body(await get(served, '/nope', '', 'HEAD')), '');
  served.frontend.reconfigure(document({ kind: 'path', path: '/also-missing.html' }));
  assert.match(await get(served, '/nope'), /^HTTP\/1\.1 404 [^]*<h1>Not Found/);
  served.frontend.reconfigure(document({ kind: 'text', text: 'nothing <b>here' }));
  assert.equal(body(await get(served, '/nope')), 'nothing <b>here');
  served.frontend.reconfigure(document({ kind: 'url', url: 'http://e.test/' }));
  assert.equal(field(await get(served, '/nope'), 'Location'), 'http://e.test/');
});

test('SetHandler finds handlers by name; an unknown one is an error, a failing one 500', async () => {
  const sections = ['one', 'two', '__proto__', 'bad'].map((name) =>
    section({ kind: 'location', path: `/${name}` }, { handler: name }),
  );
  const handlers: Record<string, Handler> = {
    one: async ({ response }) => void response.end('one'),
    bad: async () => Promise.reject(new Error('broken')),
  };
  await using served = await serve(settings({ sections }), { handlers });
  assert.equal(body(await get(served, '/one')), 'one');
  for (const path of ['/two', '/__proto__', '/bad']) assert.equal(status(await get(served, path)), 500, path);
});

test('proxied requests: target, RequestHeader, <Location> before the server, upgrades', async () => {
  const seen: (string | string[] | undefined)[] = [];
  const proxy: ProxyHandler = {
    ...mirror,
    handle: async ({ request, response }, target) => {
      seen.push(request.headers['x-user'], request.headers['x-evil']);
      response.end(`to ${target}`);
    },
  };
  const mapping = { kind: 'proxy', from: '/in', to: 'http://in.test/', parameters: {} } as const;
  const sections = [section({ kind: 'location', path: '/in' }, { proxyPass: mapping })];
  const mappings = [{ kind: 'proxy', from: '/', to: 'http://b.test/', parameters: {} }] as const;
  const directory = { requestHeaders: [rule('set', 'X-User', 'u'), rule('unset', 'X-Evil', '')] };
  await using served = await serve(settings({ sections, mappings, directory }), { proxy });
  assert.equal(body(await get(served, '/a?b', 'X-Evil: 1\r\n')), 'to http://b.test/a?b');
  assert.deepEqual(seen, ['u', undefined]);
  assert.equal(body(await get(served, '/in')), 'to http://in.test/');
  const upgrade = 'GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  assert.equal(await served.raw(upgrade), 'upgraded to http://b.test/ws');
  served.frontend.reconfigure(settings());
  assert.equal(status(await served.raw(upgrade.replace('/ws', '/'))), 200);
});

test('what RequestHeader adds for a backend, no client can take away by Connection', async () => {
  let sent: string[] = [];
  const proxy: ProxyHandler = {
    ...mirror,
    handle: async (exchange, target) => {
      sent = requestHeaders(exchange, parseTarget(target), undefined);
      exchange.response.end('ok');
    },
  };
  const mappings = [{ kind: 'proxy', from: '/', to: 'http://b.test/', parameters: {} }] as const;
  const directory = { requestHeaders: [rule('set', 'X-User', 'nobody')] };
  await using served = await serve(settings({ mappings, directory }), { proxy });
  const fields = 'Connection: close, X-User, X-Own, Host\r\nX-User: root\r\nX-Own: 1\r\n';
  assert.equal(body(await served.raw(`GET / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`)), 'ok');
  const named = sent.filter((_, i) => i % 2 === 0 && /^x-(?:user|own)$/.test(sent[i] ?? ''));
  assert.deepEqual(named, ['x-user']);
  assert.equal(sent[sent.indexOf('x-user') + 1], 'nobody');
});

test('the scheme that a backend is told is the one we see; RequestHeader may say otherwise', async () => {
  let sent: string[] = [];
  const proxy: ProxyHandler = {
    ...mirror,
    handle: async (exchange, target) => {
      sent = requestHeaders(exchange, parseTarget(target), undefined);
      exchange.response.end('ok');
    },
  };
  const told = () => sent.filter((_, i) => sent[i - 1] === 'x-forwarded-proto');
  const mappings = [{ kind: 'proxy', from: '/', to: 'http://b.test/', parameters: {} }] as const;
  await using served = await serve(settings({ mappings }), { proxy });
  const pretence = 'X-Forwarded-Proto: https\r\nConnection: X-Forwarded-Proto\r\n';
  await get(served, '/', pretence);
  assert.deepEqual(told(), ['http']);
  const directory = { requestHeaders: [rule('set', 'X-Forwarded-Proto', 'https')] };
  served.frontend.reconfigure(settings({ mappings, directory }));
  await get(served, '/', pretence);
  assert.deepEqual(told(), ['https']);
});

test('<If> sees the request; Require expr lets in', async () => {
  const sections = [
    section(
      { kind: 'if', condition: parseExpression("%{QUERY_STRING} == 'x' && req('X-A') == 'b'") },
      { headers: [rule('set', 'X-If', '%{REQUEST_METHOD}s')] },
    ),
    section(
      { kind: 'location', path: '/sub' },
      { require: { rule: { kind: 'expr', condition: parseExpression("%{REMOTE_ADDR} == '192.0.2.1'") } } },
    ),
  ];
  await using served = await serve(settings({ sections }));
  assert.equal(field(await get(served, '/?x', 'X-A: b\r\n'), 'X-If'), 'GET');
  assert.equal(field(await get(served, '/?x'), 'X-If'), undefined);
  assert.equal(status(await get(served, '/sub/')), 403);
});

test('one line per request goes to each log whose condition holds', async () => {
  const format =
    '%h %l %u "%r" %>s %b %v %U%q %m %H %X "%{Referer}i" %{X-None}o %{sec}t %400{Referer}i %!200{Referer}i %%';
  const customLogs = [
    { file: 'a', format, condition: undefined },
    { file: 'b', format: 'never', condition: 'dontlog' },
  ];
  await using served = await serve(settings({ customLogs }));
  await get(served, '/index.html?a=b', 'Referer: r\r\n');
  assert.match(
    await served.line(),
    /^127\.0\.0\.1 - - "GET \/index\.html\?a=b HTTP\/1\.1" 200 5 a\.test \/index\.html\?a=b GET HTTP\/1\.1 - "r" - \d{10} - - %$/,
  );
});

function rule(action: 'set' | 'unset', name: string, value: string) {
  return {
    condition: 'onsuccess' as const,
    action,
    name,
    value,
    replacement: undefined,
    env: undefined,
    expr: undefined,
  };
}

/** Asks for the root of `host` by https; with no `sni` the client names no host in its handshake. */
async function secureGet(served: Served, host: string, sni?: string): Promise<string> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: served.port,
    rejectUnauthorized: false,
    ...(sni === undefined ? {} : { servername: sni }),
  });
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  return text(socket);
}

async function curl(served: Served, path: string, ...more: string[]): Promise<string> {
  const where = ['--resolve', `a.test:${served.port}:127.0.0.1`, `https://a.test:${served.port}${path}`];
  const { stdout } = await run('curl', ['-sk', '-i', '--max-time', '5', ...more, ...where]);
  return stdout;
}
