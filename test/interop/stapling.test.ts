/** OCSP stapling on a whole server, with other people's responder, clients and server. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { type Issued, OcspTestCa } from '../../src/pki/ocsp.testing.ts';
import { eventually, freePorts, missing, run, signal, TestServer } from '../latchkey.testing.ts';
import { Apache, loadModules, withoutApache } from './apache.testing.ts';
import { directives, installed, startAuthority, withoutAuthority } from './authority.testing.ts';
import { gnutls } from './clients.testing.ts';
import { OpensslResponder } from './responder.testing.ts';

const NAME = 'a.test';
const kinds = {
  EC: {
    sigalgs: 'ECDSA+SHA256',
    priority: '-SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256',
    spec: { type: 'EC', name: 'p-256' },
  },
  RSA: {
    sigalgs: 'RSA-PSS+SHA256:RSA+SHA256',
    priority: '-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256',
    spec: { type: 'RSA', bits: 2048 },
  },
} as const;

/** What `openssl s_client -status` says on the staple; the client can use one kind of key only. */
async function staple(port: number, tls: '-tls1_2' | '-tls1_3', kind: keyof typeof kinds): Promise<string> {
  const client = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', NAME, '-status', tls];
  const { stdout } = await run('openssl', [...client, '-sigalgs', kinds[kind].sigalgs], { input: '' });
  return stdout;
}

interface Expected {
  readonly certificates: Record<keyof typeof kinds, Issued>;
  /** File of their CA. */
  readonly trust: string;
}

/** By each version and kind of key, in every worker, as openssl reads it and as gnutls-cli verifies it. */
async function assertStapled(
  server: TestServer,
  port: number,
  { certificates, trust }: Expected,
): Promise<void> {
  await server.inEachWorker(async () => {
    for (const tls of ['-tls1_2', '-tls1_3'] as const) {
      for (const kind of ['EC', 'RSA'] as const) {
        const said = await staple(port, tls, kind);
        assert.match(said, /Cert Status: good/, `${tls} ${kind}: ${said.slice(0, 2000)}`);
        assert.match(said, new RegExp(`Serial Number: ${certificates[kind].certificate.serial}`));
        const version = tls === '-tls1_2' ? '+VERS-TLS1.2' : '+VERS-TLS1.3';
        const priority = `NORMAL:-VERS-ALL:${version}:${kinds[kind].priority}`;
        const verified = await gnutls(port, {
          name: NAME,
          ca: trust,
          args: ['--ocsp', '--priority', priority],
        });
        assert.match(verified, /Options:.*OCSP status request/, `${priority}: ${verified}`);
        assert.match(verified, /The certificate is trusted/, `${priority}: ${verified}`);
      }
    }
  });
}

/** A folder's files for a host with a certificate of each kind. */
function hostWith(server: TestServer, port: number, certificates: Record<string, Issued>): string {
  const files = Object.entries(certificates).map(([kind, { chainPem, keyPem }]) => {
    const certificate = server.write(`${kind}.crt`, chainPem);
    return `SSLCertificateFile ${certificate}\nSSLCertificateKeyFile ${server.write(`${kind}.key`, keyPem)}\n`;
  });
  return `<VirtualHost *:${port}>\nServerName ${NAME}\nSSLEngine on\n${files.join('')}</VirtualHost>\n`;
}

/** Files of responses for certificates that are not managed. */
function responses(server: TestServer): string[] {
  return readdirSync(join(server.dir, 'md/ocsp/other')).filter((name) => name.startsWith('ocsp-'));
}

suite('OCSP responses of openssl', { skip: missing('openssl', 'gnutls-cli') }, () => {
  test('are stapled for every key, after a reload, and after a restart without the responder', async () => {
    const [port = 0, ocspPort = 0] = await freePorts(2);
    await using server = new TestServer();
    const ca = await OcspTestCa.create(Date.now());
    const ocsp = `http://127.0.0.1:${ocspPort}`;
    const names = [NAME];
    const certificates = {
      EC: await ca.issue({ ocsp, names, spec: kinds.EC.spec }),
      RSA: await ca.issue({ ocsp, names, spec: kinds.RSA.spec }),
    };
    const responder = await OpensslResponder.start(
      join(server.dir, 'responder'),
      ocspPort,
      ca,
      Object.values(certificates),
    );
    await using _responder = responder;
    const expected = { certificates, trust: server.write('ca.pem', ca.certificate.pem) };
    const common = `Workers 2\nLogLevel info\nListen 127.0.0.1:${port} https\nMDRetryDelay 1s\n`;
    const host = hostWith(server, port, certificates);
    server.configure(`${common}MDStapling on\n${host}`);
    await server.start();
    await eventually('responses', () => responses(server).length === 2);
    await eventually('staples', async () => (await staple(port, '-tls1_3', 'EC')).includes('good'));
    await eventually('staples', async () => (await staple(port, '-tls1_3', 'RSA')).includes('good'));
    await assertStapled(server, port, expected);

    await server.run('-k', 'graceful');
    await assertStapled(server, port, expected);

    await responder[Symbol.asyncDispose]();
    for (const tls of ['-tls1_2', '-tls1_3'] as const) {
      await server.stop();
      await server.start();
      assert.match(await staple(port, tls, 'RSA'), /Cert Status: good/, `the first handshake, ${tls}`);
    }
    await assertStapled(server, port, expected);
    await server.run('-k', 'graceful');
    const [engine = 0] = server.children().engine;
    signal(engine, 'SIGKILL');
    await eventually('another engine', () => server.children().engine.some((pid) => pid !== engine));
    await eventually('its status', () => server.status());
    await assertStapled(server, port, expected);

    server.configure(
      `${common}MDStapling on\n${host.replace('SSLEngine on', 'SSLEngine on\nSSLUseStapling off')}`,
    );
    await server.run('-k', 'graceful');
    assert.match(await staple(port, '-tls1_3', 'EC'), /no response sent/);

    // Switched on by a reload, what the store has is stapled at once.
    server.configure(common + host.replace('SSLEngine on', 'SSLEngine on\nSSLUseStapling on'));
    await server.run('-k', 'graceful');
    await eventually('a staple', async () => (await staple(port, '-tls1_3', 'EC')).includes('good'));
  });

  test('that gnutls-cli insists on', async () => {
    const [port = 0, ocspPort = 0] = await freePorts(2);
    await using server = new TestServer();
    const ca = await OcspTestCa.create(Date.now());
    const issued = await ca.issue({ ocsp: `http://127.0.0.1:${ocspPort}`, names: [NAME], mustStaple: true });
    await using _responder = await OpensslResponder.start(join(server.dir, 'responder'), ocspPort, ca, [
      issued,
    ]);
    const trust = server.write('ca.pem', ca.certificate.pem);
    server.configure(
      `Listen 127.0.0.1:${port} https\nSSLUseStapling on\n${hostWith(server, port, { issued })}`,
    );
    await server.start();
    // It insists on a staple, as the certificate says.
    await eventually('gnutls-cli to be content', async () => {
      const output = await gnutls(port, { name: NAME, ca: trust });
      return output.includes('The certificate is trusted');
    });
  });
});

test(
  'a response that Apache has kept is stapled by us, and one of ours by Apache',
  { skip: withoutApache || missing('openssl') },
  async () => {
    const [port = 0, ocspPort = 0] = await freePorts(2);
    await using server = new TestServer();
    const ca = await OcspTestCa.create(Date.now());
    const issued = await ca.issue({ ocsp: `http://127.0.0.1:${ocspPort}`, names: [NAME] });
    const responder = await OpensslResponder.start(join(server.dir, 'responder'), ocspPort, ca, [issued]);
    await using _responder = responder;
    mkdirSync(join(server.dir, 'logs'), { recursive: true });
    const configure = (stapling: string) =>
      server.configure(`${loadModules}LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
        Listen 127.0.0.1:${port} https
        MDStoreDir md
        ServerName x.test
        PidFile logs/httpd.pid
        ErrorLog logs/error_log
        LogLevel warn
        ${stapling}
        SSLStaplingCache shmcb:logs/stapling(128000)
        ${hostWith(server, port, { issued })}`);
    configure('MDStapling on\nSSLUseStapling on');
    const good = async () => (await staple(port, '-tls1_3', 'EC')).includes('Cert Status: good');
    {
      await using _apache = new Apache(server.dir);
      await eventually('a staple of Apache', good);
    }
    const file = () => responses(server)[0];
    const kept = server.read(`md/ocsp/other/${file()}`);
    await responder[Symbol.asyncDispose]();
    await server.start();
    assert.ok(await good(), server.log());
    assert.equal(server.read(`md/ocsp/other/${file()}`), kept);
    await server.stop();
    {
      await using apache = new Apache(server.dir);
      await eventually('a staple of Apache', good).catch((cause: unknown) => {
        throw new Error(apache.log(), { cause });
      });
    }
  },
);

test(
  'certificates of Pebble, of two keys, are stapled by what its intermediate has signed',
  { skip: withoutAuthority || missing('openssl', 'gnutls-cli') },
  async () => {
    const [http = 0, https = 0, ocspPort = 0] = await freePorts(3);
    await using server = new TestServer();
    const ports = { http, https };
    const ocspResponder = `http://127.0.0.1:${ocspPort}`;
    await using authority = await startAuthority({ dir: server.dir, ports, ocspResponder });
    server.configure(`Listen 127.0.0.1:${http}
      Listen 127.0.0.1:${https}
      TLSEngine ${https}
      ${directives(authority, ports)}
      MDPrivateKeys RSA 2048 secp256r1
      MDStapling on
      MDRetryDelay 1s
      MDomain ${NAME}
      <VirtualHost *>\nServerName ${NAME}\n</VirtualHost>`);
    await server.start();
    await installed(server, NAME);
    const { certificates = [] } = (await server.status()).domains[0] ?? {};
    assert.deepEqual(certificates.map(({ keyType }) => keyType).sort(), ['ec', 'rsa']);
    const { certificate, key } = await authority.issuer();
    const serials = certificates.map(({ serial }) => serial);
    const parts = { ca: certificate, signer: certificate, key, serials };
    await using _responder = await OpensslResponder.signing(join(server.dir, 'responder'), ocspPort, parts);

    for (const tls of ['-tls1_2', '-tls1_3'] as const) {
      for (const kind of ['EC', 'RSA'] as const) {
        const said = await eventually('a staple', async () => {
          const output = await staple(https, tls, kind);
          return output.includes('Cert Status: good') && output;
        });
        assert.ok(serials.includes(/Serial Number: (\w+)/.exec(said)?.[1] ?? ''));
      }
    }
    const trusted = await gnutls(https, { name: NAME, ca: authority.rootFile });
    assert.match(trusted, /The certificate is trusted/);
    assert.match(trusted, /Options:.*OCSP status request/);
  },
);
