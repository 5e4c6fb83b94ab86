import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

const host = (text: string, addresses = '*:80') =>
  `<VirtualHost ${addresses}>\nServerName a.example\n${text}\n</VirtualHost>\n`;

test('a virtual host lays its values over those of the base server', (t) => {
  const files = { 'base/x': '', 'own/x': '' };
  const text = `
DocumentRoot base
ServerAdmin base@a.example
Timeout 7
KeepAliveTimeout 500ms
Protocols h2 http/1.1
LogLevel info ssl:debug
Alias /a /base
ProxyPreserveHost On
ErrorLog base.log
Header set A base
CustomLog base_access.log "%h"
${host('')}
${host(
  `DocumentRoot own
Timeout 9
LogLevel md:trace2
Alias /a /own/
Header set B own
ProxyTimeout 3
CustomLog own_access.log combined env=!quiet`,
  '*:81',
)}
LogFormat "%h %u" combined`;
  const { base, hosts, serverRoot } = load(t, text, { files });
  const [first, second] = hosts;
  assert.equal(first?.documentRoot, `${serverRoot}/base`);
  assert.equal(first?.serverAdmin, 'base@a.example');
  assert.equal(first?.limits, base.limits, 'one object for all that change nothing');
  assert.equal(first?.mappings, base.mappings);
  assert.equal(first?.errorLog, undefined);
  assert.deepEqual(first?.customLogs, base.customLogs);

  assert.equal(second?.documentRoot, `${serverRoot}/own`);
  assert.deepEqual([second?.limits.timeout, second?.limits.keepAliveTimeout], [9000, 500]);
  assert.deepEqual(second?.protocols, ['h2', 'http/1.1']);
  assert.deepEqual(second?.logLevels, { all: 'info', modules: { ssl: 'debug', md: 'trace2' } });
  assert.deepEqual(second?.mappings, [
    { kind: 'alias', from: '/a', to: '/own/' },
    { kind: 'alias', from: '/a', to: '/base' },
  ]);
  assert.deepEqual(
    second?.directory.headers?.map((rule) => rule.name),
    ['A', 'B'],
  );
  assert.deepEqual([second?.directory.proxyPreserveHost, second?.proxy.timeout], [true, 3000]);
  assert.deepEqual(second?.customLogs, [
    { file: `${serverRoot}/own_access.log`, format: '%h %u', condition: '!quiet' },
  ]);
});

test('sections come in order, the base server’s first, with those inside them', (t) => {
  const text = `
${host('<Location /own>\nSetHandler md-status\n</Location>')}
<Directory "/srv/www/">
  Options -Indexes
  <FilesMatch "\\.ht">
    Require all denied
  </FilesMatch>
</Directory>
<Directory /srv/*/html>
</Directory>
<Files "*.bak">
</Files>
<If "%{REQUEST_METHOD} == 'PUT'">
  Require local
</If>
<Else>
  Require ip 10.1 2001:DB8::/32
  Require host .example.org
</Else>`;
  const { base, hosts } = load(t, text);
  assert.deepEqual(
    hosts[0]?.sections.map((section) => section.kind),
    ['directory', 'directory-match', 'files-match', 'if', 'else', 'location'],
  );
  const [folder, wild, files, condition, other] = base.sections;
  assert.ok(folder?.kind === 'directory' && folder.path === '/srv/www');
  assert.deepEqual(folder.settings, { options: { kind: 'change', add: [], remove: ['Indexes'] } });
  assert.deepEqual(folder.sections[0]?.settings, { require: { rule: { kind: 'all', granted: false } } });
  assert.ok(wild?.kind === 'directory-match');
  assert.deepEqual(
    ['/srv/a/html', '/srv/a/html/b', '/srv/a/b/html', '/srv/a/htmlx'].map((path) => wild.pattern.test(path)),
    [true, true, false, false],
  );
  assert.ok(files?.kind === 'files-match' && files.pattern.test('a.bak') && !files.pattern.test('a.bak.txt'));
  assert.ok(condition?.kind === 'if' && condition.condition.source === "%{REQUEST_METHOD} == 'PUT'");
  assert.deepEqual(other?.settings.require, {
    rule: {
      kind: 'any',
      rules: [
        { kind: 'ip', networks: ['10.1.0.0/16', '2001:db8::/32'] },
        { kind: 'host', names: ['.example.org'] },
      ],
    },
  });
});

test('Require containers nest', (t) => {
  const text = `
<Location />
  <RequireAll>
    Require all granted
    Require not ip 10.0.0.0/255.0.0.0
    <RequireNone>
      Require host bad.example
    </RequireNone>
  </RequireAll>
</Location>`;
  assert.deepEqual(load(t, text).base.sections[0]?.settings.require?.rule, {
    kind: 'every',
    rules: [
      { kind: 'all', granted: true },
      { kind: 'not', rule: { kind: 'ip', networks: ['10.0.0.0/8'] } },
      { kind: 'none', rules: [{ kind: 'host', names: ['bad.example'] }] },
    ],
  });
});

test('mappings and what replaces answers', (t) => {
  const text = `
ProxyPass /api/ http://127.0.0.1:3000/ retry=0 Timeout=5 nocanon
ProxyPass /api/own !
ProxyPassReverse /api/ http://127.0.0.1:3000/
Redirect permanent /old https://a.example/new
Redirect gone /gone
RedirectMatch seeother ^/user/(\\w+)$ /profile?name=$1
RedirectMatch 410 \\.bak$
AliasMatch ^/~(.*)$ /home$1
ErrorDocument 404 /404.html
ErrorDocument 500 "out of order"
ErrorDocument 403 http://b.example/
<Location /ws>
  ProxyPass ws://127.0.0.1:3000/ws upgrade=websocket
  ProxyPassReverse ws://127.0.0.1:3000/ws
</Location>
<Location /away>
  Redirect http://b.example/
</Location>`;
  const { base } = load(t, text);
  assert.deepEqual(base.mappings, [
    {
      kind: 'proxy',
      from: '/api/',
      to: 'http://127.0.0.1:3000/',
      parameters: { retry: '0', timeout: '5', nocanon: 'on' },
    },
    { kind: 'proxy', from: '/api/own', to: undefined, parameters: {} },
    { kind: 'redirect', from: '/old', status: 301, to: 'https://a.example/new' },
    { kind: 'redirect', from: '/gone', status: 410, to: undefined },
    { kind: 'redirect', from: /^\/user\/(\w+)$/s, status: 303, to: '/profile?name=$1' },
    { kind: 'redirect', from: /\.bak$/s, status: 410, to: undefined },
    { kind: 'alias', from: /^\/~(.*)$/s, to: '/home$1' },
  ]);
  assert.deepEqual(base.proxy.reverse, [{ from: '/api/', to: 'http://127.0.0.1:3000/' }]);
  assert.deepEqual(base.directory.errorDocuments, {
    403: { kind: 'url', url: 'http://b.example/' },
    404: { kind: 'path', path: '/404.html' },
    500: { kind: 'text', text: 'out of order' },
  });
  const [ws, away] = base.sections.map((section) => section.settings);
  assert.deepEqual(ws?.proxyPass, {
    kind: 'proxy',
    from: '/ws',
    to: 'ws://127.0.0.1:3000/ws',
    parameters: { upgrade: 'websocket' },
  });
  assert.deepEqual(ws.proxyPassReverse, ['ws://127.0.0.1:3000/ws']);
  assert.deepEqual(away?.redirect, { status: 302, to: 'http://b.example/' });
});

test('limits of reading are in ms and bytes', (t) => {
  const text =
    'RequestReadTimeout header=10-30,MinRate=100 body=0\nLimitRequestBody 0\nLimitRequestLine 4096';
  const { limits } = load(t, text).base;
  assert.deepEqual(limits.headerTimeout, { initial: 10_000, max: 30_000, minRate: 100 });
  assert.deepEqual(limits.bodyTimeout, { initial: 0, max: 0, minRate: 0 });
  assert.deepEqual([limits.requestBody, limits.requestLine, limits.requestFields], [0, 4096, 100]);
});

test('addresses of Listen and virtual hosts have one spelling', (t) => {
  const text = `Listen 443\nListen [0:0::1]:8443 https\nListen localhost:8080\n${host('', '_default_ [::0:1]:81 localhost:82 10.0.0.1:*')}`;
  const { listens, hosts } = load(t, text);
  assert.deepEqual(
    listens.map(({ address, port, protocol }) => [address, port, protocol]),
    [
      [undefined, 443, 'https'],
      ['::1', 8443, 'https'],
      ['127.0.0.1', 8080, 'http'],
    ],
  );
  assert.deepEqual(hosts[0]?.addresses, [
    { address: '*', port: '*' },
    { address: '::1', port: 81 },
    { address: '127.0.0.1', port: 82 },
    { address: '::1', port: 82 },
    { address: '10.0.0.1', port: '*' },
  ]);
});

test('AddType outside of everything is for all, inside a section for what is there', (t) => {
  const files = { 'my.types': '# types\ntext/x-mine mine my # both\nnonsense\n' };
  const text = 'TypesConfig my.types\nAddType text/x-other .My\n<Location /a>\nAddType a/b c\n</Location>';
  const { types, base } = load(t, text, { files });
  assert.deepEqual(types, { mine: 'text/x-mine', my: 'text/x-other' });
  assert.deepEqual(base.sections[0]?.settings.types, { c: 'a/b' });
  const { message, line } = refusal(t, '\nTypesConfig none');
  assert.match(message, /TypesConfig: could not open/);
  assert.equal(line, 2);
});

test('a folder that is not there stops the server, but no virtual host', (t) => {
  const { warnings, hosts } = load(t, '<VirtualHost *:80>\nDocumentRoot later\n</VirtualHost>');
  assert.match(hosts[0]?.documentRoot ?? '', /\/later$/);
  assert.match(
    warnings.map((one) => one.message).join(),
    /^AH00112: Warning: DocumentRoot \[\/.*\/later\] does not exist$/,
  );
  assert.match(refusal(t, 'DocumentRoot later').message, /later' is not a directory, or is not readable$/);
});

test('the request log of httpd-ssl.conf is known', (t) => {
  const format = '%t %h %{SSL_PROTOCOL}x %{SSL_CIPHER}x \\"%r\\" %b';
  assert.equal(
    load(t, `CustomLog ssl_log "${format}"`).base.customLogs[0]?.format,
    format.replaceAll('\\"', '"'),
  );
});

test('a handler that there is not is warned of, with those there are', (t) => {
  const place = (handler: string) => `<Location /x>\nSetHandler ${handler}\nRequire local\n</Location>`;
  const [warning] = load(t, place('md-staus')).warnings;
  assert.match(warning?.message ?? '', /no handler 'md-staus', requests get 500; there are: md-status, /);
  for (const known of ['md-status', 'dynssl-flush', 'cgi-script', 'default-handler', 'none'])
    assert.deepEqual(load(t, place(known)).warnings, [], known);
});
