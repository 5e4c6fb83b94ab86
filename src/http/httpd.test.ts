/** The same requests to Apache httpd and to us, over the same files: the answers have to be alike. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DirectorySettings, HeaderRule } from '../config/settings.ts';
import { serve } from './frontend.testing.ts';
import type { Served } from './frontend.testing.ts';
import { section, settingsOf, virtualHost } from './settings.testing.ts';
import { freePort } from '../base/ports.testing.ts';

const modules = '/usr/lib/apache2/modules';
const isMissing = spawnSync('apache2', ['-v']).error !== undefined || !existsSync(modules);
const skip = isMissing ? 'apache2 is not installed' : false;

let root = '';
let httpd: ChildProcess | undefined;
let httpdPort = 0;
let ours: Served;

before(async () => {
  if (skip) return;
  root = await mkdtemp(join(tmpdir(), 'latchkey-httpd-'));
  await makeFiles(join(root, 'docs'));
  ours = await serve(settings(join(root, 'docs')));
  httpdPort = await freePort();
  await writeFile(join(root, 'httpd.conf'), configuration(root, httpdPort));
  httpd = spawn('apache2', ['-f', join(root, 'httpd.conf'), '-DFOREGROUND'], { stdio: 'ignore' });
  await reachable(httpdPort);
});

after(async () => {
  if (skip) return;
  const ended = new Promise((resolve) => httpd?.once('exit', resolve));
  httpd?.kill('SIGTERM');
  await Promise.all([ended, ours[Symbol.asyncDispose]()]);
  await rm(root, { recursive: true });
});

async function makeFiles(docs: string): Promise<void> {
  await mkdir(join(docs, 'sub'), { recursive: true });
  await mkdir(join(docs, 'list/dir'), { recursive: true });
  await mkdir(join(docs, 'closed'));
  const files = [
    'index.html',
    'a.txt',
    'noext',
    'x.unknown',
    'sub/index.html',
    'list/one.txt',
    'closed/f.txt',
  ];
  for (const name of [...files, 'missing.html', 'sub/é ü.txt', 'p q%r.txt']) {
    await writeFile(join(docs, name), `content of ${name}\n`);
    await utimes(join(docs, name), 1_700_000_000, 1_700_000_000);
  }
  await symlink('a.txt', join(docs, 'link.txt'));
}

function configuration(root: string, port: number): string {
  const loaded = [
    'mpm_event',
    'authz_core',
    'authz_host',
    'alias',
    'dir',
    'autoindex',
    'mime',
    'headers',
    'unixd',
  ];
  return `ServerRoot ${root}
Listen 127.0.0.1:${port}
PidFile ${root}/pid
ErrorLog ${root}/error_log
${loaded
  .filter((name) => existsSync(`${modules}/mod_${name}.so`))
  .map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`)
  .join('\n')}
TypesConfig /dev/null
AddType text/html html
AddType text/plain txt
TraceEnable off
ServerName a.test
DocumentRoot ${root}/docs
Redirect /r http://r.test/x
Redirect permanent /rp http://r.test/
Redirect 307 /r7 /local
Redirect seeother /r3 /other
Redirect gone /gone
Redirect 403 /forbidden
RedirectMatch ^/rm/(.*)\\.gif$ http://r.test/$1.png
RedirectMatch permanent ^/rmq/(\\w+)/(\\w*) /show?name=$1&then=$2
RedirectMatch gone \\.bak$
RedirectMatch seeother (?i)^/RMI$ http://r.test/\\$0
AliasMatch ^/am/([^/]+)$ ${root}/docs/sub/$1
Alias /al ${root}/docs/sub
Alias /als/ ${root}/docs/sub/
Alias /r/alias ${root}/docs/sub
ErrorDocument 404 /missing.html
ErrorDocument 410 "gone for good"
<Directory ${root}/docs>
Options FollowSymLinks
Require all granted
</Directory>
<Directory ${root}/docs/list>
Options +Indexes
</Directory>
<Directory ${root}/docs/closed>
Require all denied
</Directory>
<Files noext>
Header set X-File noext
</Files>
<Location /denied>
Require all denied
</Location>
<Location /local-only>
Require ip 192.0.2.0/24
</Location>
<Location /moved>
Redirect 301 http://m.test/
</Location>
Header set X-Set first
Header set X-Set second
Header append X-Append one
Header append X-Append two
Header add X-Add one
Header add X-Add two
Header merge X-Merge one
Header merge X-Merge one
Header always set X-Always yes
Header always append X-Both always
Header append X-Both success
Header set X-Gone here
Header unset X-Gone
Header setifempty X-Set third
Header setifempty X-Empty first
Header edit X-Set second 2nd
Header set X-Format "100%% %{NONE}e"
`;
}

function settings(docs: string) {
  const denied: DirectorySettings = { require: { rule: { kind: 'all', granted: false } } };
  return settingsOf({
    types: { html: 'text/html', txt: 'text/plain' },
    hosts: [
      virtualHost('a.test', {
        documentRoot: docs,
        mappings: [
          { kind: 'redirect', from: '/r', status: 302, to: 'http://r.test/x' },
          { kind: 'redirect', from: '/rp', status: 301, to: 'http://r.test/' },
          { kind: 'redirect', from: '/r7', status: 307, to: '/local' },
          { kind: 'redirect', from: '/r3', status: 303, to: '/other' },
          { kind: 'redirect', from: '/gone', status: 410, to: undefined },
          { kind: 'redirect', from: '/forbidden', status: 403, to: undefined },
          { kind: 'redirect', from: /^\/rm\/(.*)\.gif$/, status: 302, to: 'http://r.test/$1.png' },
          { kind: 'redirect', from: /^\/rmq\/(\w+)\/(\w*)/, status: 301, to: '/show?name=$1&then=$2' },
          { kind: 'redirect', from: /\.bak$/, status: 410, to: undefined },
          { kind: 'redirect', from: /^\/RMI$/i, status: 303, to: 'http://r.test/\\$0' },
          { kind: 'alias', from: /^\/am\/([^/]+)$/, to: join(docs, 'sub/$1') },
          { kind: 'alias', from: '/al', to: join(docs, 'sub') },
          { kind: 'alias', from: '/als/', to: join(docs, 'sub/') },
          { kind: 'alias', from: '/r/alias', to: join(docs, 'sub') },
        ],
        directory: {
          headers: headers(),
          errorDocuments: {
            404: { kind: 'path', path: '/missing.html' },
            410: { kind: 'text', text: 'gone for good' },
          },
        },
        sections: [
          section(
            { kind: 'directory', path: docs },
            {
              options: { kind: 'set', options: ['FollowSymLinks'] },
              require: { rule: { kind: 'all', granted: true } },
            },
          ),
          section(
            { kind: 'directory', path: join(docs, 'list') },
            { options: { kind: 'change', add: ['Indexes'], remove: [] } },
          ),
          section({ kind: 'directory', path: join(docs, 'closed') }, denied),
          section(
            { kind: 'files', name: 'noext' },
            { headers: [rule('onsuccess', 'set', 'X-File', 'noext')] },
          ),
          section({ kind: 'location', path: '/denied' }, denied),
          section(
            { kind: 'location', path: '/local-only' },
            { require: { rule: { kind: 'ip', networks: ['192.0.2.0/24'] } } },
          ),
          section({ kind: 'location', path: '/moved' }, { redirect: { status: 301, to: 'http://m.test/' } }),
        ],
      }),
    ],
  });
}

function headers(): HeaderRule[] {
  return [
    rule('onsuccess', 'set', 'X-Set', 'first'),
    rule('onsuccess', 'set', 'X-Set', 'second'),
    rule('onsuccess', 'append', 'X-Append', 'one'),
    rule('onsuccess', 'append', 'X-Append', 'two'),
    rule('onsuccess', 'add', 'X-Add', 'one'),
    rule('onsuccess', 'add', 'X-Add', 'two'),
    rule('onsuccess', 'merge', 'X-Merge', 'one'),
    rule('onsuccess', 'merge', 'X-Merge', 'one'),
    rule('always', 'set', 'X-Always', 'yes'),
    rule('always', 'append', 'X-Both', 'always'),
    rule('onsuccess', 'append', 'X-Both', 'success'),
    rule('onsuccess', 'set', 'X-Gone', 'here'),
    rule('onsuccess', 'unset', 'X-Gone', undefined),
    rule('onsuccess', 'setifempty', 'X-Set', 'third'),
    rule('onsuccess', 'setifempty', 'X-Empty', 'first'),
    { ...rule('onsuccess', 'edit', 'X-Set', 'second'), replacement: '2nd' },
    rule('onsuccess', 'set', 'X-Format', '100%% %{NONE}e'),
  ];
}

function rule(
  condition: HeaderRule['condition'],
  action: HeaderRule['action'],
  name: string,
  value: string | undefined,
): HeaderRule {
  return { condition, action, name, value, replacement: undefined, env: undefined, expr: undefined };
}

const earlier = 'Mon, 13 Nov 2023 22:13:20 GMT';
const modified = 'Tue, 14 Nov 2023 22:13:20 GMT';

/** Request line without version, then headers. */
const requests: readonly (readonly [line: string, ...headers: string[]])[] = [
  ['GET /'],
  ['HEAD /'],
  ['GET /index.html'],
  ['GET /a.txt'],
  ['HEAD /a.txt'],
  ['POST /a.txt'],
  ['PUT /a.txt'],
  ['DELETE /a.txt'],
  ['GET /noext'],
  ['GET /x.unknown'],
  ['GET /link.txt'],
  ['GET /sub'],
  ['GET /sub?query'],
  ['GET /sub/'],
  ['GET //sub//index.html'],
  ['GET /sub/./../a.txt'],
  ['GET /sub/%2e%2e/a.txt'],
  ['GET /p%20q%25r.txt'],
  ['GET /sub/%c3%a9%20%C3%BC.txt'],
  ['GET /list'],
  ['GET /list/dir'],
  ['GET /closed/f.txt'],
  ['GET /closed/'],
  ['GET /denied/x'],
  ['GET /local-only'],
  ['GET /nope'],
  ['HEAD /nope'],
  ['GET /a.txt/x'],
  ['GET /a.txt/'],
  ['GET /a%2fb'],
  ['GET /a%zz'],
  ['GET /../x'],
  ['GET /%2e%2e/x'],
  ['GET /%ff'],
  ['GET /r'],
  ['GET /r/a%3fb%25?c=d'],
  ['GET /r/alias/x'],
  ['GET /rp/x'],
  ['POST /r7/x'],
  ['GET /r3'],
  ['GET /rx'],
  ['GET /gone/x'],
  ['GET /forbidden'],
  ['GET /al'],
  ['GET /al/'],
  ['GET /al/index.html'],
  ['GET /als'],
  ['GET /als/'],
  ['GET /moved/x?y'],
  ['GET /rm/a%20b/%C3%A9.gif?c=d'],
  ['GET /rm/a.jpg'],
  ['GET /rmq/one/two/three?four'],
  ['GET /rmq/one/'],
  ['GET /deep/x.bak'],
  ['GET /rmi'],
  ['GET /am/index.html'],
  ['GET /am/sub/index.html'],
  ['GET /a.txt', 'Range: bytes=0-3'],
  ['GET /a.txt', 'Range: bytes=-3'],
  ['GET /a.txt', 'Range: bytes=5-'],
  ['GET /a.txt', 'Range: bytes=1000-'],
  ['GET /a.txt', 'Range: lines=1-2'],
  ['GET /a.txt', 'Range: bytes=0-3', `If-Range: ${modified}`],
  ['GET /a.txt', 'Range: bytes=0-3', 'If-Range: "other"'],
  ['GET /a.txt', `If-Modified-Since: ${modified}`],
  ['GET /a.txt', `If-Modified-Since: ${earlier}`],
  ['GET /a.txt', 'If-None-Match: *'],
  ['GET /a.txt', 'If-None-Match: "other"'],
  ['GET /a.txt', 'If-Match: "other"'],
  ['GET /a.txt', `If-Unmodified-Since: ${earlier}`],
  ['GET /', `If-Modified-Since: ${modified}`],
  ['OPTIONS /a.txt'],
  ['OPTIONS *'],
  ['TRACE /'],
  ['GET *'],
  ['GET http://other.test/sub'],
  ['GET http://other.test:81/sub'],
  ['GET ftp://other.test/sub'],
  ['GET nope'],
  ['GET /sub', 'Host: x.test:8080'],
  ['GET /sub', 'Host: a b'],
  ['GET /sub', 'Host: a/b'],
  ['GET /sub', 'Host: '],
  ['GET /sub', 'Host: a', 'Host: b'],
  [`GET /${'x'.repeat(9000)}`],
  ['GET /', `X-Long: ${'x'.repeat(9000)}`],
];

/**
 * Alike in status only: where httpd answers 412 with the head of the file and no page, types its empty answers
 * to OPTIONS, leaves its header rules off `*`, has an empty Allow, or has read far enough to apply rules.
 */
const byStatus = new Set([
  'If-Match: "other"',
  `If-Unmodified-Since: ${earlier}`,
  'OPTIONS /a.txt',
  'OPTIONS *',
  'TRACE /',
  'GET nope',
]);

for (const [line, ...headers] of requests) {
  test(`like httpd: ${[line, ...headers].join(' | ').slice(0, 80)}`, { skip }, async () => {
    const host = headers.some((header) => header.startsWith('Host:')) ? [] : ['Host: a.test'];
    const lines = [`${line} HTTP/1.1`, ...host, 'Connection: close', ...headers, '', ''];
    const [theirs, own] = await Promise.all(
      [httpdPort, ours.port].map((port) => ask(port, lines.join('\r\n'))),
    );
    const statusOnly = [line, ...headers].some((part) => byStatus.has(part));
    assert.deepEqual(comparable(own, statusOnly), comparable(theirs, statusOnly));
  });
}

/** What is the server's own business: its name, its error pages' words and tags, TRACE in lists of methods. */
function comparable(answer: string | undefined, statusOnly: boolean): object {
  const [head = '', ...rest] = `${answer}`.split('\r\n\r\n');
  const [statusLine = '', ...fields] = head.split('\r\n');
  const status = Number(statusLine.split(' ')[1]);
  if (statusOnly) return { status };
  // Error documents are sent whole, so ours don't say that they could come in parts.
  const own =
    status >= 400
      ? /^(?:date|server|connection|keep-alive|etag|transfer-encoding|content-range|accept-ranges):/i
      : /^(?:date|server|connection|keep-alive|etag|transfer-encoding|content-range):/i;
  const isPage = /<h1>|<title>/.test(rest.join());
  const compared = fields
    .filter((field) => !own.test(field) && !(isPage && /^content-(?:length|type):/i.test(field)))
    .map((field) => field.replace(/^[^:]+/, (name) => name.toLowerCase()))
    .map((field) => (field.startsWith('allow: ') ? field.slice(7).split(',').sort().join() : field));
  return { status, fields: compared.sort(), body: isPage ? 'page' : rest.join('\r\n\r\n') };
}

function ask(port: number, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = net.connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
  let received = '';
  socket.setEncoding('latin1').on('data', (chunk) => (received += String(chunk)));
  socket.on('error', reject).on('close', () => resolve(received));
  return promise;
}

async function reachable(port: number): Promise<void> {
  for (let attempt = 0; attempt < 1200; attempt++) {
    if (await ask(port, 'GET / HTTP/1.0\r\n\r\n').catch(() => '')) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('apache2 did not start');
}
