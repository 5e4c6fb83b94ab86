/** How-tos about OCSP stapling, with the embedded CA, which has a responder. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { OcspTestCa } from '../../src/pki/ocsp.testing.ts';
import { hosts, localAuthority, server as base } from '../faults/faults.testing.ts';
import { OpensslResponder } from '../interop/responder.testing.ts';
import { eventually, freePorts, missing, run, TestServer } from '../latchkey.testing.ts';

const skip = missing('openssl', 'curl') ?? false;
const names = ['a.localhost', 'b.localhost'] as const;

interface Stapled {
  readonly server: TestServer;
  /** Whether a host's handshake comes with a good response. */
  readonly staples: (name: string) => Promise<boolean>;
  readonly page: (path: string) => Promise<string>;
}

/** `all`: for both; `some`: of the first. */
async function started(server: TestServer, all: string, some?: string): Promise<Stapled> {
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  const ports = { http, https };
  const status = ['server-status', 'md-status'].map(
    (handler) => `<Location "/${handler}">\nSetHandler ${handler}\nRequire local\n</Location>`,
  );
  const [a, b] = names;
  const own = some === undefined ? [] : [`<MDomain ${a}>\n${some}\n</MDomain>\n`, hosts(ports, a)];
  const rest = some === undefined ? names : [b];
  const authority = [localAuthority(ports, ca, ...rest), ...own].join('\n');
  server.write('htdocs/index.html', 'hello\n');
  server.configure(base(ports, 'Workers 1', authority, ...status, all));
  await server.start();
  const url = (path: string) => `https://a.localhost:${https}${path}`;
  const to = `a.localhost:${https}:127.0.0.1`;
  const staples = async (name: string) => {
    const args = ['-connect', `127.0.0.1:${https}`, '-servername', name, '-status'];
    return (await run('openssl', ['s_client', ...args], { input: '' })).stdout.includes('Cert Status: good');
  };
  for (const name of names)
    await eventually(`a certificate of ${name}`, () =>
      server.log().includes(`AH10059: The Managed Domain ${name} has been setup`),
    );
  return {
    server,
    staples,
    page: async (path) => (await run('curl', ['-sk', '--resolve', to, url(path)])).stdout,
  };
}

/** Two hosts with certificates from files, and the responder of their CA. */
async function files(server: TestServer) {
  const [https = 0, ocspPort = 0] = await freePorts(2);
  const ca = await OcspTestCa.create(Date.now());
  const ocsp = `http://127.0.0.1:${ocspPort}`;
  const issued = await Promise.all(names.map((name) => ca.issue({ ocsp, names: [name] })));
  const responder = await OpensslResponder.start(join(server.dir, 'responder'), ocspPort, ca, issued);
  const host = (index: number, more: string) => {
    const chain = server.write(`${index}.crt`, issued[index]?.chainPem ?? '');
    const key = server.write(`${index}.key`, issued[index]?.keyPem ?? '');
    return `<VirtualHost *:${https}>\nServerName ${names[index]}\nSSLEngine on\nSSLCertificateFile ${chain}\nSSLCertificateKeyFile ${key}\n${more}\n</VirtualHost>`;
  };
  const staples = async (name: string) => {
    const to = ['-connect', `127.0.0.1:${https}`, '-servername', name, '-status'];
    return (await run('openssl', ['s_client', ...to], { input: '' })).stdout.includes('Cert Status: good');
  };
  const listen = `Workers 1\nMDRetryDelay 1s\nListen 127.0.0.1:${https} https`;
  return { responder, host, staples, listen };
}

suite('how-tos', { concurrency: 2, skip }, () => {
  test('Just the Stapling, Mam! And some sites without', async () => {
    await using server = new TestServer();
    const { responder, host, staples, listen } = await files(server);
    await using _responder = responder;
    const all = 'MDStapling on\nMDStapleOthers on\n<IfModule ssl_module>\nSSLUseStapling on\n</IfModule>';
    server.configure([listen, all, host(0, ''), host(1, 'SSLUseStapling off')].join('\n'));
    await server.start();
    await eventually('a staple', () => staples('a.localhost'));
    assert.equal(await staples('b.localhost'), false, 'SSLUseStapling off');
    assert.match((await server.run('status')).stdout, /1 of 1 certificates are stapled/);
    // "Enable this for all managed domains, but not for the hosts with SSLCertificateFile."
    const managed = 'MDStapling on\nMDStapleOthers off';
    server.configure([listen, managed, host(0, ''), host(1, 'SSLUseStapling on')].join('\n'));
    assert.equal((await server.run('-k', 'graceful')).code, 0);
    await eventually('the other way round', () => staples('b.localhost'));
    assert.equal(await staples('a.localhost'), false, 'MDStapleOthers off');
  });

  test('How to Staple All My Certificates', async () => {
    await using server = new TestServer();
    const { staples } = await started(server, 'MDStapling on');
    for (const name of names) await eventually(`a staple of ${name}`, () => staples(name));
  });

  test('How to Staple Some of My Certificates. How Would You Know It Works?', async () => {
    await using server = new TestServer();
    const { staples, page } = await started(server, '', 'MDStapling on');
    await eventually('a staple', () => staples('a.localhost'));
    assert.equal(await staples('b.localhost'), false);
    // server-status: "Status is the one reported by your Certificate Authority".
    await eventually('the page to say so', async () => (await page('/server-status')).includes('good'));
    const auto = await page('/server-status?auto');
    assert.match(auto, /^ManagedStaplingsTotal: 1\nManagedStaplingsOK: 1$/m);
    assert.match(auto, /^ManagedStapling\[0\]OCSPStatus: good$/m);
    assert.match(await page('/md-status/a.localhost'), /"ocsp"/);
  });
});
