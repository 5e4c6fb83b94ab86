/** One configuration with scripts and client certificates, given to Apache and to us: what scripts see is the same. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestServer, eventually, freePorts, missing, run } from '../latchkey.testing.ts';
import { Apache, withoutApache } from './apache.testing.ts';

const modules = '/usr/lib/apache2/modules';
const more = ['alias', 'cgi', 'env', 'setenvif', 'headers', 'mime', 'log_config', 'unixd'];
const absent = more.find(
  (name) => name !== 'log_config' && name !== 'unixd' && !existsSync(join(modules, `mod_${name}.so`)),
);
const skip =
  withoutApache || missing('curl', 'openssl') || (absent ? `Apache's mod_${absent} is not installed` : false);

const isRoot = process.getuid?.() === 0;

/** Every way in which the variables are shown. */
function configuration(dir: string, port: number): string {
  const load = ['mpm_event', 'authz_core', 'ssl', ...more]
    .filter((name) => existsSync(join(modules, `mod_${name}.so`)))
    .map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`);
  return `${load.join('\n')}
Listen 127.0.0.1:${port} https
${isRoot ? 'User www-data\nGroup www-data' : ''}
PidFile logs/httpd.pid
ErrorLog logs/error_log
LogFormat "%{version}c|%{cipher}c|%{subjectdn}c|%{issuerdn}c|%{SSL_CLIENT_S_DN_OU_1}x|%{SSL_SERVER_V_END}x|%{SSL_CLIENT_V_REMAIN}x|%u|%{SSL_CLIENT_S_DN_CN}e|%{HTTPS}e|%{MARK}e|%>s" all
CustomLog logs/access_log all
TypesConfig /dev/null
ServerName a.test
ServerAdmin admin@a.test
DocumentRoot docs
<Directory />
Require all granted
</Directory>
<VirtualHost 127.0.0.1:${port}>
ServerName a.test
SSLEngine on
SSLHonorCipherOrder off
SSLCertificateFile server.pem
SSLCertificateKeyFile server.key
SSLCACertificateFile ca.pem
SSLVerifyClient optional
SSLVerifyDepth 3
ScriptAlias /cgi/ ${dir}/cgi/
ScriptAlias /one ${dir}/cgi/env.sh
ScriptAliasMatch ^/matched/([a-z]+) ${dir}/cgi/$1.sh
Alias /files/ ${dir}/cgi/
AddHandler cgi-script .sh
SetEnv FROM_SETENV "a value"
SetEnvIf Request_URI m[ab]rk MARK=$0
SetEnvIfNoCase User-Agent ^CURL !FROM_NOTHING FROM_AGENT
<Location /cgi/env.sh/standard>
SSLOptions +StdEnvVars +ExportCertData
SSLUserName SSL_CLIENT_S_DN_CN
</Location>
<Location /cgi/env.sh/standard/legacy>
SSLOptions +LegacyDNStringFormat -ExportCertData
UnsetEnv FROM_SETENV
</Location>
<Location /cgi/env.sh/bare>
SSLOptions StdEnvVars ExportCertData
</Location>
<Location /cgi/env.sh/bare/less>
SSLOptions -ExportCertData +StdEnvVars
</Location>
<Location /cgi/env.sh/headers>
RequestHeader set X-Cipher "%{SSL_CIPHER}s"
RequestHeader set X-Names "%{SSL_CLIENT_S_DN}s|%{SSL_CLIENT_S_DN_Email}s|%{SSL_CLIENT_SAN_OTHER_msUPN_0}s|%{SSL_SERVER_SAN_DNS_1}s"
RequestHeader set X-None "%{SSL_HANDSHAKE_RTT}s|%{SSL_CLIENT_S_DN_CN_7}s|%{SSL_SRP_USER}s|%{SSL_NO_SUCH}s"
RequestHeader set X-Certificate "%{SSL_CLIENT_CERT}s"
RequestHeader set X-Env "%{FROM_SETENV}e|%{MARK}e"
</Location>
<If "%{SSL:SSL_PROTOCOL} == 'TLSv1.3' && %{SSL_CLIENT_S_DN_CN} =~ /^Alice/">
RequestHeader set X-If yes
</If>
<Location /files/on>
Options +ExecCGI
</Location>
</VirtualHost>
`;
}

const scripts: Readonly<Record<string, string>> = {
  'env.sh': 'echo Content-Type: text/plain; echo; env | sort; echo "USER_IS=$(id -u)"; echo "BODY=$(cat)"',
  'status.sh': 'echo Status: 418 Teapot; echo X-A: 1; echo Content-Type: text/plain; echo; echo short',
  'local.sh': 'echo "Location: /cgi/env.sh/from%20local?x=y"; echo',
  'file.sh': 'echo Location: /index.html; echo',
  'away.sh': 'echo Location: http://b.test/; echo',
  'garbage.sh': 'echo nonsense; echo',
  'silent.sh': ':',
  'on.sh': 'echo Content-Type: text/plain; echo; echo "$SCRIPT_NAME $PATH_INFO $SCRIPT_FILENAME"',
};

const ours = new TestServer();
let theirs = '';
let apache: Apache | undefined;
let [ourPort, theirPort] = [0, 0];

before(async () => {
  if (skip) return;
  theirs = mkdtempSync(join(tmpdir(), 'apache-scripts-'));
  chmodSync(theirs, 0o755);
  makeCertificates(theirs);
  [ourPort = 0, theirPort = 0] = await freePorts(2);
  for (const [dir, port] of [
    [ours.dir, ourPort],
    [theirs, theirPort],
  ] as const) {
    for (const folder of ['docs', 'cgi', 'cgi/folder', 'logs'])
      mkdirSync(join(dir, folder), { recursive: true });
    for (const name of ['server.pem', 'server.key', 'ca.pem'])
      writeFileSync(join(dir, name), readFileSync(join(theirs, name)));
    for (const [name, source] of Object.entries(scripts)) {
      writeFileSync(join(dir, 'cgi', name), `#!/bin/sh\n${source}\n`, { mode: 0o755 });
    }
    writeFileSync(join(dir, 'cgi/README.sh'), 'not executable\n');
    writeFileSync(join(dir, 'docs/index.html'), 'the index\n');
    writeFileSync(join(dir, 'httpd.conf'), configuration(dir, port));
  }
  apache = new Apache(theirs);
  await ours.start();
  await eventually('Apache', async () => (await get(theirPort, '/index.html', [])).includes('the index'));
});

after(async () => {
  await apache?.[Symbol.asyncDispose]();
  await ours[Symbol.asyncDispose]();
  if (theirs !== '') rmSync(theirs, { recursive: true });
});

/** A root, an intermediate, a client of it whose names have everything in them, and a server's. */
function makeCertificates(dir: string): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  const ec = ['-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  writeFileSync(join(dir, 'ca.cnf'), 'basicConstraints=critical,CA:TRUE\n');
  writeFileSync(
    join(dir, 'client.cnf'),
    `[req]
distinguished_name=dn
utf8=yes
string_mask=utf8only
prompt=no
[dn]
C=DE
ST=Some State
L=Münster
O=Exämple\\, Corp + more
0.OU=First
1.OU=back\\\\slash
CN=Alice Example
GN=Alice
SN=Example
initials=AE
title=Dr
description=a <b> / c
UID=alice
emailAddress=alice@a.test
0.1.2.3.4.5=unknown
serialNumber=77
[ext]
subjectAltName=email:alice@a.test,email:second@a.test,DNS:alice.a.test,otherName:msUPN;UTF8:alice@corp,IP:192.0.2.1
`,
  );
  openssl('req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/O=Root, Inc./CN=Root');
  openssl('req', '-new', ...ec, '-keyout', 'mid.key', '-out', 'mid.csr', '-subj', '/O=Root, Inc./CN=Middle');
  const byRoot = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', '7', '-extfile', 'ca.cnf'];
  openssl('x509', '-req', '-in', 'mid.csr', ...byRoot, '-out', 'mid.pem');
  openssl(
    'req',
    '-new',
    '-nodes',
    '-newkey',
    'rsa:2048',
    '-keyout',
    'client.key',
    '-out',
    'client.csr',
    '-config',
    'client.cnf',
    '-utf8',
  );
  const byMiddle = [
    '-CA',
    'mid.pem',
    '-CAkey',
    'mid.key',
    '-set_serial',
    '0x0abcdef012345678',
    '-days',
    '10',
  ];
  openssl(
    'x509',
    '-req',
    '-in',
    'client.csr',
    ...byMiddle,
    '-extfile',
    'client.cnf',
    '-extensions',
    'ext',
    '-out',
    'client.pem',
  );
  // Node doesn't tell what else the client sends: what it sends here, the server has itself.
  const read = (name: string) => readFileSync(join(dir, name), 'utf8');
  writeFileSync(join(dir, 'ca.pem'), read('ca.pem') + read('mid.pem'));
  writeFileSync(join(dir, 'client.pem'), read('client.pem') + read('mid.pem'));
  const names = ['-subj', '/O=Server/CN=a.test', '-addext', 'subjectAltName=DNS:a.test,DNS:b.test'];
  openssl('req', '-x509', ...ec, '-keyout', 'server.key', '-out', 'server.pem', ...names);
}

async function get(port: number, path: string, args: readonly string[]): Promise<string> {
  const where = ['--resolve', `a.test:${port}:127.0.0.1`, `https://a.test:${port}${path}`];
  const { stdout } = await run('curl', ['-sk', '--path-as-is', '-i', ...args, ...where]);
  return stdout;
}

/** What is each server's own: its name, ports, folder, and which numbers its handshakes have. */
function comparable(answer: string, dir: string, port: number): string[] {
  const own =
    /^(?:SERVER_SOFTWARE|SSL_VERSION_\w+|SSL_SESSION_ID|REMOTE_PORT|PATH|LD_LIBRARY_PATH|SHLVL|_|LATCHKEY_\w+|REDIRECT_(?!URL|STATUS|QUERY_STRING)\w+)=/;
  return answer
    .replace(/\r\n\r\n[^]*<h1>[^]*$/, '\r\n\r\npage')
    .split(/\r?\n/)
    .filter(
      (line) =>
        !own.test(line) &&
        !/^(?:date|server|connection|keep-alive|transfer-encoding|content-length|content-type|accept-ranges|etag|last-modified|upgrade): ?/i.test(
          line,
        ),
    )
    .map((line) => line.replaceAll(dir, 'DIR').replaceAll(String(port), 'PORT'))
    .map((line) => line.replace(/^[\w-]+:/, (name) => name.toLowerCase()));
}

const withCertificate = () => ['--cert', join(theirs, 'client.pem'), '--key', join(theirs, 'client.key')];
const versions: readonly (readonly [name: string, args: readonly string[]])[] = [
  ['TLS 1.2', ['--tls-max', '1.2']],
  ['TLS 1.3', ['--tlsv1.3']],
];

async function bothAnswer(path: string, args: readonly string[]): Promise<void> {
  const [own, other] = await Promise.all([get(ourPort, path, args), get(theirPort, path, args)]);
  assert.deepEqual(comparable(own, ours.dir, ourPort), comparable(other, theirs, theirPort), path);
}

for (const [name, args] of versions) {
  for (const path of [
    '/cgi/env.sh',
    '/cgi/env.sh/standard',
    '/cgi/env.sh/standard/legacy',
    '/cgi/env.sh/bare',
    '/cgi/env.sh/bare/less',
    '/cgi/env.sh/headers/mark',
  ]) {
    test(`${name}: ${path} with a client certificate and without`, { skip }, async () => {
      await bothAnswer(path, [...args, '--http1.1', ...withCertificate()]);
      await bothAnswer(path, [...args, '--http1.1']);
    });
  }
}

test('a script is found, asked and taken at its word alike', { skip }, async () => {
  const requests: readonly (readonly [path: string, ...args: string[]])[] = [
    ['/one'],
    ['/one/x%20y/%2e%2e/z?a=b&c'],
    ['/matched/env/more'],
    [
      '/cgi/env.sh/',
      '-X',
      'POST',
      '-d',
      'a=b',
      '-H',
      'X_Bad: 1',
      '-H',
      'Proxy: evil',
      '-H',
      'X-A: 1',
      '-H',
      'X-A: 2',
    ],
    ['/cgi/env.sh', '-X', 'PUT', '-H', 'Transfer-Encoding: chunked', '-d', 'in chunks'],
    ['/cgi/env.sh', '-u', 'me:secret', '-H', 'Cookie: a=1; b=2'],
    ['/cgi/env.sh/%c3%a9'],
    ['/cgi/env.sh//double///slash'],
    ['/cgi/status.sh'],
    ['/cgi/status.sh', '-I'],
    ['/cgi/local.sh', '-d', 'a=b'],
    ['/cgi/file.sh'],
    ['/cgi/away.sh'],
    ['/cgi/garbage.sh'],
    ['/cgi/silent.sh'],
    ['/cgi/missing.sh'],
    ['/cgi/missing.sh/x'],
    ['/cgi/README.sh'],
    ['/cgi/folder'],
    ['/cgi/folder/'],
    ['/cgi/'],
    ['/files/on.sh/info'],
    ['/files/env.sh'],
    ['/files/missing.sh'],
    ['/index.html/x'],
  ];
  for (const [path, ...args] of requests) await bothAnswer(path, ['--http1.1', ...args]);
});

test('logs of the same requests have the same lines', { skip }, async () => {
  const lines = (dir: string) =>
    readFileSync(join(dir, 'logs/access_log'), 'utf8').trimEnd().split('\n').sort();
  const asked = ['/cgi/env.sh/standard/mark', '/cgi/env.sh/standard/legacy', '/index.html'];
  const count = lines(theirs).length;
  for (const path of asked) await bothAnswer(path, ['--http1.1', ...withCertificate()]);
  await eventually(
    'the last lines',
    () => lines(ours.dir).length >= lines(theirs).length - 1 && lines(theirs).length >= count + 3,
  );
  const seen = (dir: string) => [...new Set(lines(dir))];
  assert.deepEqual(seen(ours.dir), seen(theirs));
});
