/** The store protocol between servers: `latchkey store`, and SetHandler dynssl-store. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { createAuthority } from '../src/certificates/credentials.testing.ts';
import { shown } from './dynssl.testing.ts';
import { directives, installed, startAuthority, withoutAuthority } from './interop/authority.testing.ts';
import {
  binary,
  eventually,
  freePorts,
  missing,
  run,
  selfSigned,
  TestServer,
  type Outcome,
} from './latchkey.testing.ts';

/** A shell in a folder of its own, with `latchkey store` there in the background. */
function shell(dir: string, ports: readonly (readonly [usual: number, here: number])[]) {
  const here = (script: string) =>
    script.replaceAll(/\b\d{4}\b/g, (number) =>
      String(ports.find(([usual]) => String(usual) === number)?.[1] ?? number),
    );
  return {
    type: (script: string): Promise<Outcome> => run('bash', ['-c', `cd ${dir}; ${here(script)}`]),
    /** Everything it has printed, and its end. */
    background: (script: string, env: NodeJS.ProcessEnv) => {
      const child = spawn('bash', ['-c', `cd ${dir}; ${here(script)}`], {
        env: { ...env, PATH: `${join(binary, '..')}:${process.env['PATH']}` },
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += String(text)));
      return {
        said: () => said,
        async [Symbol.asyncDispose]() {
          const ended = new Promise((resolve) => child.once('exit', resolve));
          child.kill();
          await ended;
        },
      };
    },
  };
}

suite('the test store of mod_dynssl', { skip: missing('openssl', 'curl', 'bash') }, () => {
  test('and the steps that verify it, as they are typed', async () => {
    const [http = 0, https = 0, store = 0] = await freePorts(3);
    await using server = new TestServer();
    const { type, background } = shell(server.dir, [
      [8080, http],
      [8443, https],
      [8888, store],
    ]);
    await type(`mkdir -p certs

openssl req -x509 -newkey rsa:2048 \\
    -keyout certs/example.com.key \\
    -out certs/example.com.crt \\
    -days 90 -nodes -subj "/CN=example.com"

openssl req -x509 -newkey rsa:2048 \\
    -keyout certs/store.key \\
    -out certs/store.crt \\
    -days 365 -nodes -subj "/CN=localhost"

openssl req -x509 -newkey rsa:2048 -keyout fallback.key -out fallback.crt -days 3650 -nodes -subj "/CN=localhost"`);
    await using running = background(
      `DYNSSL_USE_HTTPS=1 \\
DYNSSL_TLS_CERT=certs/store.crt \\
DYNSSL_TLS_KEY=certs/store.key \\
DYNSSL_TOKEN=mysecrettoken \\
exec latchkey store --listen 127.0.0.1:8888`,
      server.env,
    );
    await eventually('the store', () => running.said().includes('/certs/NAME'));
    const hits = () => running.said().match(/^GET \/certs\/example\.com \d+$/gm)?.length ?? 0;

    const { stdout } = await type(`curl --cacert certs/store.crt \\
    -H "Authorization: Bearer mysecrettoken" \\
    https://localhost:8888/certs/example.com`);
    const { cert, key } = JSON.parse(stdout) as Record<string, string>;
    assert.match(cert ?? '', /^-----BEGIN CERTIFICATE-----\n/);
    assert.match(key ?? '', /^-----BEGIN PRIVATE KEY-----\n/);
    assert.match(stdout, /"cert": "-----BEGIN CERTIFICATE-----\\n/);
    const status = `curl -s -o /dev/null -w '%{http_code}' --cacert certs/store.crt https://localhost:8888/certs`;
    const bearer = '-H "Authorization: Bearer mysecrettoken"';
    assert.equal((await type(`${status}/example.com`)).stdout, '401');
    assert.equal((await type(`${status}/unknown.com ${bearer}`)).stdout, '404');
    assert.equal((await type(`${status}/www.localhost ${bearer}`)).stdout, '404');

    server.configure(`
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https} https
Workers 2
LoadModule dynssl_module modules/mod_dynssl.so
DynSSLEnable          on
DynSSLStoreURL        https://localhost:${store}/certs
DynSSLStoreToken      mysecrettoken
DynSSLStoreSSLVerify  on
DynSSLStoreCAFile     ${server.dir}/certs/store.crt
<VirtualHost *:${https}>
    ServerName _default_
    SSLEngine on
    SSLCertificateFile    fallback.crt
    SSLCertificateKeyFile fallback.key
</VirtualHost>
<Location "/dynssl-flush">
    SetHandler dynssl-flush
    Require ip 127.0.0.1
</Location>`);
    await server.start();
    await eventually('what was typed in its log', () => hits() === 2);
    const known = await type(`curl -k -v --resolve example.com:8443:127.0.0.1 \\
    https://example.com:8443 2>&1 | grep -A4 "Server certificate"`);
    assert.match(known.stdout, /subject: CN=example\.com/);
    const unknown = await type(`curl -k -v --resolve unknown.com:8443:127.0.0.1 \\
    https://unknown.com:8443 2>&1 | grep -A4 "Server certificate"`);
    assert.match(unknown.stdout, /subject: CN=localhost/);
    await type(`for i in {1..20}; do
    curl -k -s --resolve example.com:8443:127.0.0.1 \\
        https://example.com:8443 > /dev/null
done`);
    await eventually('a hit', () => hits() > 2);
    assert.equal(hits(), 3, 'one hit, whatever the worker');

    const flushed = await type('curl -X POST http://127.0.0.1:8080/dynssl-flush/example.com');
    assert.equal(flushed.stdout, 'flushed: example.com\n');
    await type(`curl -k -s --resolve example.com:8443:127.0.0.1 \\
    https://example.com:8443 > /dev/null`);
    await eventually('a fresh hit', () => hits() > 3);
    assert.equal(hits(), 4);
  });

  test('gives nothing to other machines without token and https', async () => {
    for (const args of [['--token', 'a'], []]) {
      const { code, stderr } = await run(binary, [
        'store',
        '--dir',
        tmpdir(),
        '--listen',
        '0.0.0.0:0',
        ...args,
      ]);
      assert.equal(code, 1);
      assert.match(stderr, /needs a token \(DYNSSL_TOKEN\) and https/);
    }
  });
});

const COUNT = 1000;
const lacking = missing('openssl', 'curl') ?? (withoutAuthority || undefined);

test(
  'one server obtains and hands out, another serves a thousand names with none readable on its disk, and goes on alone, over a restart too',
  { skip: lacking },
  async () => {
    const [http = 0, https = 0, second = 0, secondHttp = 0] = await freePorts(4);
    await using first = new TestServer();
    const ports = { http, https };
    await using authority = await startAuthority({ dir: first.dir, ports });
    await using other = new TestServer();
    const own = selfSigned(first.dir, 'localhost');
    const fallback = selfSigned(other.dir, 'fallback.example');
    const names = Array.from({ length: COUNT }, (_, n) => `customer${n}.example`);
    const serials = await writePairs(join(first.dir, 'pairs'), names);
    first.configure(`
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https} https
${directives(authority, ports)}
MDCAChallenges http-01
MDRenewMode always
MDomain a.localhost www.a.localhost
MDomain b.localhost
DynSSLServeFolder pairs
<VirtualHost *:${https}>
  ServerName localhost
  SSLEngine on
  SSLCertificateFile ${own.cert}
  SSLCertificateKeyFile ${own.key}
  <Location /certs>
    SetHandler dynssl-store
    DynSSLServeToken mysecrettoken
  </Location>
</VirtualHost>`);
    other.configure(`
Listen 127.0.0.1:${secondHttp}
Listen 127.0.0.1:${second} https
Workers 2
DynSSLEnable on
DynSSLStoreURL https://localhost:${https}/certs
DynSSLStoreCAFile ${own.cert}
DynSSLStoreToken mysecrettoken
DynSSLTimeout 20000
DynSSLSnapshot snapshot
<VirtualHost *:${second}>
  ServerName _default_
  SSLEngine on
  SSLCertificateFile ${fallback.cert}
  SSLCertificateKeyFile ${fallback.key}
</VirtualHost>`);
    await first.start();
    await other.start();
    await installed(first, 'a.localhost', 'b.localhost');
    const { domains } = await first.status();
    const obtained = domains.map(({ certificates: [certificate] }) => certificate?.serial);
    const [a = '', b = ''] = obtained;
    for (const [name, serial] of [
      ['a.localhost', a],
      ['www.a.localhost', a],
      ['b.localhost', b],
    ] as const)
      serials.set(name, serial);

    const asked = await run('curl', [
      '-s',
      '--cacert',
      own.cert,
      '-H',
      'Authorization: Bearer mysecrettoken',
      `https://localhost:${https}/certs/www.a.localhost`,
    ]);
    assert.deepEqual(Object.keys(JSON.parse(asked.stdout) as object), ['cert', 'key']);
    const without = await run('curl', [
      '-s',
      '--cacert',
      own.cert,
      '-w',
      '%{http_code}',
      `https://localhost:${https}/certs/a.localhost`,
    ]);
    assert.match(without.stdout, /401$/);
    assert.doesNotMatch(without.stdout, /BEGIN/);

    assert.deepEqual(await wrong(second, serials), []);
    await first.stop();
    const some = new Map([...serials].filter((_, index) => index % 10 === 0));
    assert.deepEqual(await wrong(second, some), [], 'with the first one stopped');
    await other.stop();
    await other.start();
    await eventually('what was kept', async () => (await shown(second, 'a.localhost')).serial === a);
    assert.deepEqual(await wrong(second, some), [], 'after a restart without the first');
    assert.equal((await shown(second, 'unknown.example')).subject, 'fallback.example');
    const found = await run('grep', [
      '-rlE',
      'customer|PRIVATE KEY',
      other.dir,
      '--include=*.crt',
      '--include=*.key',
      '--include=*.pem',
      '--include=snapshot',
    ]);
    assert.deepEqual(found.stdout.trim().split('\n'), [fallback.key], 'nothing but the fallback on its disk');
    for (const { log } of [{ log: first.log() }, { log: other.log() }]) {
      assert.doesNotMatch(log, /PRIVATE KEY|mysecrettoken/);
    }
  },
);

async function writePairs(dir: string, names: readonly string[]): Promise<Map<string, string>> {
  mkdirSync(dir);
  const authority = await createAuthority();
  const serials = new Map<string, string>();
  for (const name of names) {
    const { chainPem, keyPem, serial } = await authority.issue([name]);
    writeFileSync(join(dir, `${name}.crt`), chainPem);
    writeFileSync(join(dir, `${name}.key`), keyPem);
    serials.set(name, serial);
  }
  return serials;
}

/** Names that are shown with another certificate than theirs. */
async function wrong(port: number, serials: ReadonlyMap<string, string>): Promise<string[]> {
  const wrongs: string[] = [];
  const waiting = [...serials];
  const client = async () => {
    for (let next; (next = waiting.pop());) {
      const [name, serial] = next;
      if ((await shown(port, name)).serial !== serial) wrongs.push(name);
    }
  };
  await Promise.all(Array.from({ length: 20 }, client));
  return wrongs;
}
