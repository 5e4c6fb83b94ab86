/** A wildcard certificate, met as an administrator meets it: by a command of theirs that writes into the DNS. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  startChallengeDns,
  startPebble,
  withoutChallengeDns,
  withoutPebble,
} from '../src/acme/pebble.testing.ts';
import { getSecure, server as base } from './faults/faults.testing.ts';
import { eventually, freePorts, TestServer } from './latchkey.testing.ts';

const withoutCurl = spawnSync('curl', ['--version']).error ? 'curl is not installed' : false;
const skip = withoutPebble || withoutChallengeDns || withoutCurl;

test(
  'a command for the DNS that fails is told; mended, it gives a certificate for all names',
  { skip },
  async () => {
    const [http = 0, https = 0] = await freePorts(2);
    const ports = { http, https };
    await using server = new TestServer();
    await using dns = await startChallengeDns();
    await using pebble = await startPebble({ httpPort: http, tlsPort: https, resolver: dns.resolver });
    server.write('pebble-ca.pem', pebble.ca);
    server.write('htdocs/index.html', 'wild\n');
    // It has to keep one value of the record only, as version 1 asks.
    const hook = server.write(
      'bin/write-dns',
      `#!/bin/sh
post() { curl -sSf -d "{\\"host\\":\\"_acme-challenge.$NAME.\\"$2}" "${dns.managementUrl}/$1"; }
NAME=$3
post clear-txt
[ "$2" = teardown ] || post set-txt ",\\"value\\":\\"$4\\""
`,
    );
    chmodSync(hook, 0o755);
    const text = base(
      ports,
      `MDCertificateAuthority ${pebble.directoryUrl}
MDCACertificateFile pebble-ca.pem
MDCertificateAgreement accepted
MDPrivateKeys P-256
MDPortMap http:${http} https:${https}
MDCAChallenges dns-01
MDomain example.test *.example.test
<VirtualHost *:${https}>
  ServerName example.test
  ServerAlias *.example.test
</VirtualHost>`,
    );
    server.configure(`${text}MDChallengeDns01 bin/missing\n`);
    await server.start();
    const problem = await eventually('the problem', async () => (await server.status()).domains[0]?.problem);
    const missing = join(server.dir, 'bin/missing');
    assert.equal(problem.type, 'urn:latchkey:problem:dns-01-setup');
    assert.equal(
      problem.detail,
      `MDChallengeDns01: '${missing} setup example.test' could not be run: spawn ${missing} ENOENT`,
    );

    server.configure(`${text}MDChallengeDns01 bin/write-dns --quietly\n`);
    const reload = await server.run('-k', 'graceful');
    assert.equal(reload.code, 0, reload.stderr);
    // Before, there is a fallback certificate of these names, with which every answer is 503.
    await eventually('the certificate', async () => {
      const { status } = await getSecure(https, 'any.example.test');
      return status === 200;
    });
    const { names, body } = await getSecure(https, 'example.test');
    assert.deepEqual(names.split(', ').sort(), ['DNS:*.example.test', 'DNS:example.test']);
    assert.equal(body, 'wild\n');
  },
);
