/** Staples as clients of other makes see them: for each key type, version, worker; across reload and restart. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { managed, server as base } from './faults/faults.testing.ts';
import type { Ports } from './faults/faults.testing.ts';
import { binary, eventually, freePorts, missing, run, signal, TestServer } from './latchkey.testing.ts';

const NAME = 'stapled.localhost';

/** `latchkey ca`, alone, with its folder in the server's. */
async function startCa(t: TestContext, server: TestServer, port: number, { http, https }: Ports) {
  const where = ['--dir', join(server.dir, 'ca'), '--listen', `127.0.0.1:${port}`];
  const challenges = ['--http-port', `${http}`, '--tls-port', `${https}`];
  const process = spawn(binary, ['ca', 'run', ...where, ...challenges], { env: server.env, stdio: 'ignore' });
  const ended = once(process, 'exit');
  t.after(() => process.kill('SIGKILL'));
  await eventually('the CA', () => existsSync(join(server.dir, 'ca/root.pem')) && answers(port));
  return async () => {
    process.kill('SIGTERM');
    await ended;
  };
}

async function answers(port: number): Promise<boolean> {
  return (await fetch(`http://127.0.0.1:${port}/crl`)).ok;
}

interface Client {
  readonly who: string;
  readonly keyType: 'ec' | 'rsa';
  readonly args: readonly string[];
}

const clients: readonly Client[] = [
  { who: 'EC, TLS 1.2', keyType: 'ec', args: ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'] },
  { who: 'RSA, TLS 1.2', keyType: 'rsa', args: ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'] },
  { who: 'EC, TLS 1.3', keyType: 'ec', args: ['-tls1_3', '-sigalgs', 'ecdsa_secp256r1_sha256'] },
  { who: 'RSA, TLS 1.3', keyType: 'rsa', args: ['-tls1_3', '-sigalgs', 'rsa_pss_rsae_sha256'] },
];

/** What openssl says of a handshake in which it asks for a staple. */
async function opensslStatus(port: number, root: string, args: readonly string[]): Promise<string> {
  const at = ['-connect', `127.0.0.1:${port}`, '-servername', NAME, '-CAfile', root, '-status'];
  const { stdout, stderr } = await run('openssl', ['s_client', ...at, '-showcerts', ...args], {
    input: 'Q\n',
  });
  return stdout + stderr;
}

/** Every client of every kind sees the good staple of the certificate that it is shown. */
async function assertStapled(
  port: number,
  root: string,
  serials: Readonly<Record<string, string>>,
): Promise<void> {
  for (const { who, keyType, args } of clients) {
    const output = await opensslStatus(port, root, args);
    assert.match(output, /Verify return code: 0 \(ok\)/, who);
    assert.match(output, /OCSP Response Status: successful/, who);
    assert.match(output, /Cert Status: good/, who);
    assert.equal(/Serial Number: ([0-9A-F]+)\n\s+Cert Status/.exec(output)?.[1], serials[keyType], who);
    assert.match(
      output,
      keyType === 'ec' ? /Peer signature type: (?:ECDSA|ecdsa)/ : /Peer signature type: (?:RSA|rsa)/,
      who,
    );
  }
}

test(
  'every client sees the staple of its certificate: in each worker, after a reload, after a restart without responder',
  { skip: missing('openssl') },
  async (t) => {
    await using server = new TestServer();
    const [http = 0, https = 0, ca = 0] = await freePorts(3);
    const stopCa = await startCa(t, server, ca, { http, https });
    const root = join(server.dir, 'ca/root.pem');
    const owner = process.getuid?.() === 0 ? ['User nobody', 'Group nogroup'] : [];
    server.write('htdocs/index.html', 'stapled\n');
    const domain = managed({ http, https }, `https://127.0.0.1:${ca}/directory`, [NAME]);
    server.configure(
      base(
        { http, https },
        'Workers 2',
        ...owner,
        `MDCACertificateFile ${root}`,
        'MDStapling on',
        domain.replace('secp256r1', 'rsa2048 secp256r1'),
      ),
    );
    await server.start();
    const serials = await eventually('two certificates', async () => {
      const { certificates = [] } = (await server.status()).domains[0] ?? {};
      const found = Object.fromEntries(
        certificates.map(({ keyType, serial }) => [keyType.toLowerCase(), serial]),
      );
      return found.rsa !== undefined && found.ec !== undefined && found;
    });
    for (const { args } of clients) {
      await eventually('a staple', async () =>
        (await opensslStatus(https, root, args)).includes('Cert Status: good'),
      );
    }

    const { workers } = server.children();
    assert.equal(workers.length, 2);
    for (const silent of workers) {
      // The other one has all connections.
      signal(silent, 'SIGSTOP');
      try {
        await assertStapled(https, root, serials);
      } finally {
        signal(silent, 'SIGCONT');
      }
    }

    // To a client that can use both, the first of MDPrivateKeys is shown: TLSEngine is mod_tls's.
    assert.match(await opensslStatus(https, root, []), /Peer signature type: (?:RSA|rsa)/);

    const reload = await server.run('-k', 'graceful');
    assert.equal(reload.code, 0, reload.stderr);
    await assertStapled(https, root, serials);

    await stopCa();
    await server.stop();
    await server.start();
    await assertStapled(https, root, serials);

    await t.test('gnutls-cli trusts it by the staple', { skip: missing('gnutls-cli') }, async () => {
      const [tls12, tls13] = ['NORMAL:-VERS-ALL:+VERS-TLS1.2', 'NORMAL:-VERS-ALL:+VERS-TLS1.3:-SIGN-ALL'];
      for (const [priority, key] of [
        [`${tls12}:-KX-ALL:+ECDHE-ECDSA`, /EC\/ECDSA key/],
        [`${tls12}:-KX-ALL:+ECDHE-RSA`, /RSA key/],
        [`${tls13}:+SIGN-ECDSA-SECP256R1-SHA256`, /EC\/ECDSA key/],
        [`${tls13}:+SIGN-RSA-PSS-RSAE-SHA256`, /RSA key/],
      ] as const) {
        const trust = [`--x509cafile=${root}`, `--verify-hostname=${NAME}`, '--ocsp'];
        const at = [`--sni-hostname=${NAME}`, `--priority=${priority}`, '-p', `${https}`, '127.0.0.1'];
        const { stdout, stderr } = await run('gnutls-cli', [...trust, ...at]);
        assert.match(stdout, /The certificate is trusted/, priority + stderr);
        assert.match(stdout, /Options: .*OCSP status request/, priority);
        assert.match(/Certificate\[0\] info:\n.*/.exec(stdout)?.[0] ?? '', key, priority);
      }
    });
  },
);
