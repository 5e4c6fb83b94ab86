/** Clients of other makes against an acceptor. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { createAuthority } from '../certificates/credentials.testing.ts';
import type { Selection } from './accept.ts';
import { SecureContexts } from './contexts.ts';
import { installed } from './hello.testing.ts';
import { createPolicy, modernPolicy } from './policy.ts';
import { run, startServer } from './serve.testing.ts';
import type { TestServer } from './serve.testing.ts';

const lacks = (command: string) => !installed(command) && `${command} is not installed`;
const request = 'GET / HTTP/1.0\r\nHost: a.example.org\r\n\r\n';

suite('Served to foreign clients:', async () => {
  const authority = await createAuthority();
  const strangers = await createAuthority('Strangers');
  const certificates = [
    await authority.issue(['a.example.org'], 'rsa'),
    await authority.issue(['a.example.org'], 'ec'),
  ];
  const ticketKeys = [Buffer.alloc(48, 9)];
  const contexts = new SecureContexts({ ticketKeys });
  const dual: Selection<string> = {
    kind: 'serve',
    context: contexts.create(certificates, modernPolicy, 'dual'),
    policy: modernPolicy,
    alpn: ['h2', 'http/1.1'],
    tag: 'dual',
  };
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-foreign-'));
  after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const ca = file('ca.pem', authority.rootPem);

  const openssl = (server: TestServer, ...args: string[]) =>
    run(
      'openssl',
      [
        's_client',
        '-connect',
        `127.0.0.1:${server.port}`,
        '-servername',
        'a.example.org',
        '-CAfile',
        ca,
        '-ign_eof',
        ...args,
      ],
      request,
    );

  suite('openssl', { skip: lacks('openssl') }, () => {
    const choices: [string, string[], RegExp][] = [
      ['any, TLS 1.3', ['-tls1_3'], /Peer signature type: ECDSA/],
      ['any, TLS 1.2', ['-tls1_2'], /Peer signature type: ECDSA/],
      ['RSA only, TLS 1.3', ['-tls1_3', '-sigalgs', 'rsa_pss_rsae_sha256'], /Peer signature type: RSA-PSS/],
      [
        'ECDSA only, TLS 1.3',
        ['-tls1_3', '-sigalgs', 'ecdsa_secp256r1_sha256'],
        /Peer signature type: ECDSA/,
      ],
      [
        'RSA suites, TLS 1.2',
        ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'],
        /Peer signature type: RSA/,
      ],
      [
        'ECDSA suites, TLS 1.2',
        ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
        /Peer signature type: ECDSA/,
      ],
      // P-384 for the key exchange alone: the certificate's curve is not among the client's groups.
      ['P-384 only, TLS 1.2', ['-tls1_2', '-groups', 'P-384'], /Peer signature type: RSA/],
    ];
    for (const [who, args, expected] of choices) {
      test(`a set of RSA and ECDSA has the right one for a client of ${who}`, async () => {
        await using server = await startServer({ select: () => dual });
        const output = await openssl(server, ...args);
        assert.match(output, /Verify return code: 0 \(ok\)/);
        assert.match(output, expected);
        assert.match(output, /HTTP\/1\.1 200 OK/);
        assert.match(output, / 1 s:CN = Latchkey test intermediate/);
        await server.idle();
      });
    }

    const small = 'ECDHE-ECDSA-AES128-GCM-SHA256';
    const large = 'ECDHE-ECDSA-AES256-GCM-SHA384';
    const chacha = 'ECDHE-ECDSA-CHACHA20-POLY1305';
    const orders = [
      ['client', `${large}:${small}:${chacha}`, large],
      ['server', `${large}:${small}:${chacha}`, small],
      ['server', `${chacha}:${large}:${small}`, small],
      ['modern', `${large}:${small}:${chacha}`, small],
      ['modern', `${chacha}:${large}:${small}`, chacha],
    ] as const;
    for (const [cipherOrder, named, chosen] of orders) {
      test(`of ${named} the order ${cipherOrder} takes ${chosen}`, async () => {
        const policy = createPolicy({ cipherOrder });
        const context = contexts.create(certificates, policy, cipherOrder);
        await using server = await startServer({ select: () => ({ ...dual, context, policy }) });
        const output = await openssl(server, '-tls1_2', '-cipher', named);
        assert.match(output, new RegExp(`Cipher is ${chosen}`));
      });
    }

    test('an old client is refused', async () => {
      await using server = await startServer({ select: () => dual });
      assert.match(
        await openssl(server, '-tls1_1', '-cipher', 'DEFAULT:@SECLEVEL=0'),
        /alert protocol version/,
      );
      await server.idle();
      assert.deepEqual(server.secured, []);
    });

    test('a policy decides on versions and suites', async () => {
      const policy = createPolicy({
        minVersion: 'TLSv1.3',
        ciphersuites: 'TLS_CHACHA20_POLY1305_SHA256',
      });
      const context = contexts.create(certificates, policy, 'strict');
      await using server = await startServer({ select: () => ({ ...dual, context, policy }) });
      assert.match(await openssl(server), /New, TLSv1\.3, Cipher is TLS_CHACHA20_POLY1305_SHA256/);
      assert.match(await openssl(server, '-tls1_2'), /alert protocol version/);
    });

    test('a policy decides on groups and signature algorithms', async () => {
      const policy = createPolicy({ groups: 'P-384', signatureAlgorithms: 'RSA-PSS+SHA384' });
      const context = contexts.create(certificates, policy, 'by commands');
      await using server = await startServer({ select: () => ({ ...dual, context, policy }) });
      const output = await openssl(server, '-tls1_3');
      assert.match(output, /Server Temp Key: ECDH, (?:P-384|secp384r1)/);
      assert.match(output, /Peer signing digest: SHA384\nPeer signature type: RSA-PSS/);
      assert.match(await openssl(server, '-tls1_3', '-groups', 'X25519'), /alert handshake failure/);
    });

    test('the staple arrives after a HelloRetryRequest', async () => {
      const staple = Buffer.from('30030a0103', 'hex');
      await using server = await startServer({ select: () => ({ ...dual, staple }) });
      const output = await openssl(server, '-tls1_3', '-groups', 'P-384:P-256', '-status', '-msg');
      assert.equal(output.match(/>>> .*ClientHello/g)?.length, 2, 'it was asked for another key share');
      assert.match(output, /OCSP Response Status: trylater/);
    });

    for (const version of ['-tls1_2', '-tls1_3']) {
      test(`the staple arrives (${version})`, async () => {
        // The shortest response there is: "try later".
        const staple = Buffer.from('30030a0103', 'hex');
        await using server = await startServer({ select: () => ({ ...dual, staple }) });
        assert.match(await openssl(server, version, '-status'), /OCSP Response Status: trylater/);
      });

      test(`a session is resumed at another process's acceptor with the same ticket key (${version})`, async () => {
        const session = join(folder, `session${version}`);
        await using first = await startServer({ select: () => dual });
        const context = new SecureContexts({ ticketKeys }).create(certificates, modernPolicy, 'dual');
        await using second = await startServer({ select: () => ({ ...dual, context }) });
        assert.match(await openssl(first, version, '-sess_out', session), /^New, /m);
        assert.match(await openssl(second, version, '-sess_in', session), /^Reused, /m);
      });

      test(`a certificate of the wrong CA does not get through, the right one does (${version})`, async () => {
        const policy = createPolicy({ clientAuth: 'require', clientCa: authority.chainPem });
        const context = contexts.create(certificates, policy, 'closed');
        await using server = await startServer({ select: () => ({ ...dual, context, policy }) });
        for (const [issuer, welcome] of [
          [strangers, false],
          [authority, true],
        ] as const) {
          const { chainPem, keyPem } = await issuer.issue(['client']);
          const pair = ['-cert', file('cert.pem', chainPem), '-key', file('key.pem', keyPem)];
          const output = await openssl(server, version, ...pair);
          assert.equal(output.includes('200 OK'), welcome);
        }
        assert.ok(!(await openssl(server, version)).includes('200 OK'));
        assert.equal(server.secured.length, 1);
      });
    }

    test('nobody starts a second handshake within a connection', async () => {
      await using server = await startServer({ select: () => dual });
      const args = ['-connect', `127.0.0.1:${server.port}`, '-servername', 'a.example.org', '-tls1_2'];
      assert.match(await run('openssl', ['s_client', ...args], 'R\n'), /no renegotiation/);
      await server.idle();
    });

    test('a name that is none is refused by unrecognized_name', async () => {
      await using server = await startServer({
        select: ({ sniInvalid }) => (sniInvalid ? { kind: 'refuse', alert: 'unrecognized_name' } : dual),
      });
      const output = await run('openssl', [
        's_client',
        '-connect',
        `127.0.0.1:${server.port}`,
        '-servername',
        'a..b',
      ]);
      assert.match(output, /unrecognized name/);
    });
  });

  test('gnutls-cli', { skip: lacks('gnutls-cli') }, async () => {
    await using server = await startServer({ select: () => dual });
    for (const priority of [
      'NORMAL',
      'NORMAL:-VERS-ALL:+VERS-TLS1.2',
      'NORMAL:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256',
    ]) {
      const args = ['--x509cafile', ca, '--sni-hostname=a.example.org', '--verify-hostname=a.example.org'];
      const output = await run(
        'gnutls-cli',
        [...args, `--priority=${priority}`, '-p', String(server.port), '127.0.0.1'],
        request,
      );
      assert.match(output, /The certificate is trusted/, priority);
      assert.match(output, /Handshake was completed/, priority);
    }
    await server.idle();
  });

  const python = [
    'import socket, ssl, sys',
    'context = ssl.create_default_context(cafile=sys.argv[2])',
    'context.set_alpn_protocols(["http/1.1"])',
    'context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, sys.argv[3])',
    'with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as tcp:',
    '  with context.wrap_socket(tcp, server_hostname="a.example.org") as tls:',
    '    print(tls.version(), tls.selected_alpn_protocol())',
  ].join('\n');
  for (const [wanted, spoken] of [
    ['TLSv1_2', 'TLSv1.2'],
    ['TLSv1_3', 'TLSv1.3'],
  ] as const) {
    test(`Python's ssl, ${spoken}`, { skip: lacks('python3') }, async () => {
      await using server = await startServer({ select: () => dual });
      const output = await run('python3', ['-c', python, String(server.port), ca, wanted]);
      assert.equal(output.trim(), `${spoken} http/1.1`);
    });
  }

  for (const [flag, alpn] of [
    ['--http1.1', 'http/1.1'],
    ['--http2', 'h2'],
  ] as const) {
    test(`curl ${flag}`, { skip: lacks('curl') }, async () => {
      await using server = await startServer({ select: () => dual });
      const at = `a.example.org:${server.port}`;
      const url = `https://${at}/`;
      const output = await run('curl', [
        '-sS',
        flag,
        '--cacert',
        ca,
        '--resolve',
        `${at}:127.0.0.1`,
        url,
        url,
      ]);
      const served = JSON.stringify({ tag: 'dual', sni: 'a.example.org', alpn, authorized: false });
      assert.equal(output, served + served);
      assert.equal(server.secured.length, 1, 'one connection carries both requests');
      await server.idle();
    });
  }
});
