/** What only a hostile or broken client sends, byte by byte over raw sockets. */
import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import type { VirtualHostSettings } from '../config/settings.ts';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import { serve } from './frontend.testing.ts';
import { ambiguous } from './hostile.testing.ts';
import type { Served } from './frontend.testing.ts';
import { defaultLimits, section, settingsOf, virtualHost } from './settings.testing.ts';

let root = '';
let served: Served;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'latchkey-hostile-'));
  await mkdir(join(root, 'docs/sub'), { recursive: true });
  await writeFile(join(root, 'secret.txt'), 'SECRET');
  await writeFile(join(root, 'docs/index.html'), 'hello');
  await writeFile(join(root, 'docs/.htpasswd'), 'SECRET');
  await symlink(join(root, 'secret.txt'), join(root, 'docs/sub/link.txt'));
  served = await serve(settings());
});

after(async () => {
  await served[Symbol.asyncDispose]();
  await rm(root, { recursive: true });
});

function settings(changes: Partial<VirtualHostSettings> = {}) {
  const documentRoot = join(root, 'docs');
  const sections = [
    section({ kind: 'location', path: '/private' }, { require: { rule: { kind: 'all', granted: false } } }),
    section(
      { kind: 'directory', path: join(documentRoot, 'sub') },
      { options: { kind: 'set', options: ['Indexes'] } },
    ),
  ];
  const limits = { ...defaultLimits, requestBody: 1000 };
  return settingsOf({ hosts: [virtualHost('a.test', { documentRoot, sections, limits, ...changes })] });
}

const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`;
const status = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);

test('no path leads out of the document root', async () => {
  const paths = [
    '/../secret.txt',
    '/sub/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/sub/%2E%2e/%2e./secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e%2fsecret.txt',
    '/%252e%252e/secret.txt',
    '/..\\secret.txt',
    '/..%5csecret.txt',
    '/%c0%ae%c0%ae/secret.txt',
    '/%uff0e%uff0e/secret.txt',
    '/.../secret.txt',
    '//../secret.txt',
    '/./../secret.txt',
    '/sub/..;/../secret.txt',
    '/index.html/../../secret.txt',
    '/secret.txt%00.html',
    '/sub/link.txt',
    '/.htpasswd',
    '/sub/..//.htpasswd',
    'http://a.test/../secret.txt',
    'http://a.test/%2e%2e/secret.txt',
  ];
  for (const path of paths) {
    const answer = await served.raw(get(path));
    assert.ok([400, 403, 404].includes(status(answer)), `${path}: ${answer.slice(0, 60)}`);
    assert.ok(!answer.includes('SECRET'), path);
  }
});

test('no spelling of a path gets around access rules', async () => {
  for (const path of [
    '/private',
    '/private/',
    '//private',
    '/./private',
    '/x/../private',
    '/%70rivate',
    '/private/../private/x',
  ]) {
    assert.equal(status(await served.raw(get(path))), 403, path);
  }
});

test('NUL is a bad request, an encoded slash is not found', async () => {
  assert.equal(status(await served.raw(get('/a%00b'))), 400);
  assert.equal(status(await served.raw(get('/a\0b'))), 400);
  assert.equal(status(await served.raw(get('/a%2Fb'))), 404);
});

test('ambiguous messages are refused and end the connection', async () => {
  for (const text of ambiguous) {
    // What follows must never be taken for a request of its own.
    const answer = await served.raw(`${text}GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    assert.equal(status(answer), 400, JSON.stringify(text));
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1, JSON.stringify(text));
  }
});

test('an absolute target chooses the host, whatever Host says', async () => {
  const other = virtualHost('b.test', {
    mappings: [{ kind: 'redirect', from: '/', status: 302, to: '/b/' }],
  });
  await using both = await serve(settingsOf({ hosts: [...settings().hosts, other] }));
  const answer = await both.raw('GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
  assert.match(answer, /^Location: http:\/\/b\.test\/b\/\r$/m);
});

test('lines, fields and heads have their bounds', async () => {
  const long = 'x'.repeat(9000);
  assert.equal(status(await served.raw(get(`/${long}`))), 414);
  assert.equal(status(await served.raw(`GET / HTTP/1.1\r\nHost: a.test\r\nX: ${long}\r\n\r\n`)), 400);
  assert.equal(
    status(await served.raw(`GET / HTTP/1.1\r\nHost: a.test\r\n${'X: y\r\n'.repeat(200)}\r\n`)),
    400,
  );
  assert.equal(
    status(
      await served.raw(`GET / HTTP/1.1\r\nHost: a.test\r\n${`X: ${'y'.repeat(100)}\r\n`.repeat(4000)}\r\n`),
    ),
    431,
  );
  assert.equal(status(await served.raw(get('/ok'.repeat(1000)))), 404);
});

test('a body beyond the limit is refused, whether announced or not', async () => {
  const head = 'POST / HTTP/1.1\r\nHost: a.test\r\n';
  assert.equal(status(await served.raw(`${head}Content-Length: 1001\r\n\r\n`)), 413);
  const expecting = await served.raw(`${head}Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n`);
  assert.equal(status(expecting), 413);
  const pending = await serve(settings(), {
    handlers: { swallow: async ({ request }) => void request.resume() },
  });
  try {
    const chunk = `3e8\r\n${'x'.repeat(1000)}\r\n`;
    pending.frontend.reconfigure(settings({ directory: { handler: 'swallow' } }));
    assert.equal(status(await pending.raw(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}${chunk}`)), 413);
  } finally {
    await pending[Symbol.asyncDispose]();
  }
});

test('a client that is still sending reads why it was refused', async () => {
  const answer = await served.raw(
    `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5000000\r\n\r\n${'x'.repeat(5_000_000)}`,
  );
  assert.equal(status(answer), 413);
});

test('of a head that is too long, whose rest is on its way, a client reads why it was refused, over TLS too', async () => {
  const { certPem: cert, keyPem: key } = await createFallbackCertificate({
    names: ['a.test'],
    now: Date.now(),
  });
  await using secure = await serve(settings(), {}, { cert, key });
  const head = `GET / HTTP/1.1\r\nHost: a.test\r\nX: ${'y'.repeat(400_000)}\r\n\r\n`;
  const socket = tls.connect({ port: secure.port, host: '127.0.0.1', rejectUnauthorized: false });
  socket.write(head);
  assert.equal(status(await text(socket)), 431);
});

test('TRACE and CONNECT are not served', async () => {
  assert.equal(
    status(await served.raw('TRACE / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n')),
    405,
  );
  assert.equal(status(await served.raw('CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n')), 405);
});

test('what a client sends is escaped in pages and logs', async () => {
  const format = '"%r" "%{User-Agent}i" %>s';
  await using logging = await serve(
    settings({ customLogs: [{ file: 'access', format, condition: undefined }] }),
  );
  const request =
    'GET /<script> HTTP/1.1\r\nHost: a.test\r\nUser-Agent: "\xe9\\\r\nConnection: close\r\n\r\n';
  const answer = await logging.raw(Buffer.from(request, 'latin1'));
  assert.ok(!answer.includes('<script>'));
  assert.match(await logging.line(), /"\\"\\xe9\\\\" 404$/);
});

test('HTTP/1.0 needs no Host and gets one answer per connection', async () => {
  const answer = await served.raw('GET / HTTP/1.0\r\n\r\n');
  assert.equal(status(answer), 200);
  assert.ok(answer.endsWith('hello'));
});
