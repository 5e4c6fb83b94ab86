/** `latchkey import` of what lego, certbot and Caddy have obtained: a server that starts with it orders nothing. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { startCa, type TestCa } from '../../src/ca/ca.testing.ts';
import { Certificate } from '../../src/pki/certificate.ts';
import { getSecure, server as base } from '../faults/faults.testing.ts';
import { eventually, freePorts, missing, TestServer } from '../latchkey.testing.ts';

const exec = promisify(execFile);

interface Ready {
  readonly server: TestServer;
  readonly ca: TestCa;
  readonly ports: { readonly http: number; readonly https: number };
}

async function ready(t: TestContext): Promise<Ready> {
  const [http = 0, https = 0] = await freePorts(2);
  const server = new TestServer();
  t.after(() => server[Symbol.asyncDispose]());
  server.write('htdocs/index.html', 'imported\n');
  const ca = await startCa(t, { httpPort: http, tlsPort: https });
  return { server, ca, ports: { http, https } };
}

/** The configuration with what the import has printed, and a virtual host for the name. */
function configure({ server, ca, ports }: Ready, name: string, printed: string): void {
  const lines = printed.slice(printed.indexOf('<MDomain'));
  const { http, https } = ports;
  server.configure(
    base(
      ports,
      `MDPortMap http:${http} https:${https}`,
      `MDCACertificateFile ${join(ca.dir, 'root.pem')}`,
      `<VirtualHost *:${http} *:${https}>\n  ServerName ${name}\n</VirtualHost>`,
      lines,
    ),
  );
}

const serialOf = (file: string) => new Certificate(readFileSync(file, 'utf8')).serial;

async function servesWithoutOrder(made: Ready, name: string, file: string, source: string): Promise<void> {
  const { server, ca, ports } = made;
  const store = join(server.dir, 'md');
  const dry = await server.latchkey('import', source, '--store', store, '--ca', ca.directoryUrl, '--dry-run');
  assert.equal(dry.code, 0, dry.stderr);
  assert.ok(!existsSync(store));
  const { code, stdout, stderr } = await server.latchkey(
    'import',
    source,
    '--store',
    store,
    '--ca',
    ca.directoryUrl,
  );
  assert.equal(code, 0, stderr);
  configure(made, name, stdout);
  await server.start();
  const { serial } = await eventually('it to be served', () => getSecure(ports.https, name));
  assert.equal(serial, serialOf(file));
  const domain = await eventually('a look at the store', async () => {
    const [known] = (await server.status()).domains;
    return known?.state === 'unknown' ? undefined : known;
  });
  assert.equal(domain.state, 'complete');
  assert.ok((domain.nextRun ?? 0) > Date.now());
  assert.deepEqual(readdirSync(join(store, 'staging')), []);
}

test('from lego: served at once, renewed with the same account', async (t) => {
  const lacking = missing('lego');
  if (lacking) return t.skip(lacking);
  const made = await ready(t);
  const { server, ca, ports } = made;
  const source = join(server.dir, 'lego');
  const args = ['--server', ca.directoryUrl, '--email', 'x@example.org', '--path', source, '--accept-tos'];
  const how = ['--http', '--http.port', `127.0.0.1:${ports.http}`, '--domains', 'a.localhost'];
  const env = { ...process.env, LEGO_CA_CERTIFICATES: join(ca.dir, 'root.pem') };
  await exec('lego', [...args, ...how, '--domains', 'www.a.localhost', 'run'], { env });
  const file = join(source, 'certificates/a.localhost.crt');
  await servesWithoutOrder(made, 'a.localhost', file, source);

  const again = await server.latchkey('import', source, '--store', join(server.dir, 'md'));
  assert.equal(again.code, 1);
  assert.match(again.stderr, /has a certificate in the store already; --force/);
  const renewed = await server.run('renew', 'a.localhost');
  assert.equal(renewed.code, 0, renewed.stderr);
  assert.doesNotMatch(renewed.stdout, /Registering an account/);
  assert.deepEqual(readdirSync(join(server.dir, 'md/accounts')), ['ACME-127.0.0.1-0000']);
  const { serial } = await getSecure(ports.https, 'a.localhost');
  assert.notEqual(serial, serialOf(file));
});

test('from certbot: served at once', async (t) => {
  const lacking = missing('certbot');
  if (lacking) return t.skip(lacking);
  const made = await ready(t);
  const { server, ca, ports } = made;
  const dir = join(server.dir, 'certbot');
  const folders = ['--config-dir', dir, '--work-dir', `${dir}-work`, '--logs-dir', `${dir}-logs`];
  const how = ['--standalone', '--http-01-address', '127.0.0.1', '--http-01-port', String(ports.http)];
  const args = ['certonly', '-n', '--agree-tos', '-m', 'x@example.org', '--server', ca.directoryUrl];
  const env = { ...process.env, REQUESTS_CA_BUNDLE: join(ca.dir, 'root.pem') };
  await exec('certbot', [...args, ...how, ...folders, '-d', 'b.localhost'], { env });
  await servesWithoutOrder(made, 'b.localhost', join(dir, 'live/b.localhost/cert.pem'), dir);
});

test('from Caddy, of its internal CA: served at once', async (t) => {
  const lacking = missing('caddy');
  if (lacking) return t.skip(lacking);
  const made = await ready(t);
  const { server } = made;
  const dir = join(server.dir, 'caddy');
  const [http = 0, https = 0] = await freePorts(2);
  const file = server.write(
    'Caddyfile',
    `{
  storage file_system ${dir}
  http_port ${http}
  https_port ${https}
  admin off
  skip_install_trust
}
c.localhost {
  tls internal
}
`,
  );
  const ended = new AbortController();
  const running = exec('caddy', ['run', '--config', file], { signal: ended.signal }).catch(() => {});
  const leaf = join(dir, 'certificates/local/c.localhost/c.localhost');
  await eventually('the certificate', () =>
    ['crt', 'key', 'json'].every((end) => existsSync(`${leaf}.${end}`)),
  );
  ended.abort();
  await running;
  await servesWithoutOrder(made, 'c.localhost', `${leaf}.crt`, dir);
});

test('what can not be taken over is said, with exit code 1', async (t) => {
  const { server } = await ready(t);
  server.write('empty/notes.txt', 'x');
  const store = join(server.dir, 'md');
  const nothing = await server.latchkey('import', join(server.dir, 'empty'), '--store', store);
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /there is no certificate to import/);
  const unknown = await server.latchkey('import', server.dir, '--from', 'iis', '--store', store);
  assert.match(unknown.stderr, /there are certbot, acme\.sh, lego, caddy, pem/);
  const missing = await server.latchkey('import', join(server.dir, 'nowhere'), '--store', store);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /ENOENT/);
});
