/** Commands at events, and certificates that come from elsewhere, on a whole server. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makePair } from '../src/domains/domains.testing.ts';
import { parseChain } from '../src/pki/certificate.ts';
import { keyToPem } from '../src/pki/keys.ts';
import { getSecure, hosts, localAuthority, server as base } from './faults/faults.testing.ts';
import { eventually, freePorts, TestServer } from './latchkey.testing.ts';

const NAME = 'a.latchkey.localhost';
const root = process.getuid?.() === 0;
const user = root ? 'www-data' : spawnSync('id', ['-un'], { encoding: 'utf8' }).stdout.trim();

/** A command that writes down who it is and what it is told; at `installed` it leaves the leaf of the chain only. */
function hookIn(server: TestServer): { readonly told: () => string[] } {
  const log = server.write('told', '');
  chmodSync(log, 0o666);
  const chain = join(server.dir, 'md/domains', NAME, 'pubcert.secp256r1.pem');
  const hook = server.write(
    'bin/hook',
    `#!/bin/sh
[ "$1" = installed ] && sed -i '/END CERTIFICATE/q' "${chain}"
echo "$(id -un) $*" >>"${log}"
`,
  );
  chmodSync(hook, 0o755);
  return { told: () => readFileSync(log, 'utf8').trimEnd().split('\n') };
}

test('commands are told in order, installed by who started the server, and may trim the chain', async () => {
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  const ports = { http, https };
  await using server = new TestServer();
  const { told } = hookIn(server);
  server.write('htdocs/index.html', 'a\n');
  const text = base(
    ports,
    'Workers 2',
    ...(root ? [`User ${user}`] : []),
    'MDMessageCmd bin/hook',
    'MDNotifyCmd bin/hook notified',
    'MDCAChallenges http-01',
    localAuthority(ports, ca, NAME),
  );
  server.configure(text);
  await server.start();
  const owner = root ? 'root' : user;
  const first = [
    `${user} renewing ${NAME}`,
    `${user} challenge-setup:http-01:${NAME} ${NAME}`,
    `${user} notified ${NAME}`,
    `${user} renewed ${NAME}`,
    `${owner} installed ${NAME}`,
  ];
  await eventually('all to be told', () => told().length >= first.length);
  assert.deepEqual(told(), first);
  const { serial } = await getSecure(https, NAME);
  assert.equal(parseChain(server.read(`md/domains/${NAME}/pubcert.secp256r1.pem`)).length, 1);
  await eventually('the trimmed chain', () => sentCertificates(https) === 1);

  // A reload activates nothing that is in use already, and so has nothing to tell.
  server.configure(`${text}MDActivateOn restart\n`);
  assert.equal((await server.run('-k', 'graceful')).code, 0);
  const { stdout } = await server.run('renew', NAME);
  assert.match(stdout, /at the next restart/);
  assert.deepEqual(told().slice(first.length).at(-1), `${user} renewed ${NAME}`);
  assert.equal((await getSecure(https, NAME)).serial, serial);
  await server.stop();
  await server.start();
  assert.equal(told().at(-1), `${owner} installed ${NAME}`);
  assert.notEqual((await getSecure(https, NAME)).serial, serial);
  const calls = told().length;
  await server.stop();
  await server.start();
  assert.equal(told().length, calls);
});

test('what has expired goes on being served: from the store, and from files', async () => {
  const [http = 0, https = 0] = await freePorts(2);
  const ports = { http, https };
  await using server = new TestServer();
  const { told } = hookIn(server);
  server.write('htdocs/index.html', 'a\n');
  const now = Date.now();
  const serials: Record<string, string> = {};
  for (const name of ['stored', 'filed']) {
    const names = [`${name}.localhost`];
    const { pem, key } = await makePair({ names, notBefore: now - 9e8, notAfter: now - 1e8 });
    const folder = name === 'stored' ? `md/domains/${names[0]}/` : 'ssl/';
    server.write(`${folder}pubcert.secp256r1.pem`, pem);
    server.write(`${folder}privkey.secp256r1.pem`, keyToPem(key));
    serials[name] = parseChain(pem)[0]?.serial ?? '';
  }
  server.configure(
    base(
      ports,
      ...(root ? [`User ${user}`] : []),
      'MDMessageCmd bin/hook',
      'MDRenewMode manual',
      'MDPrivateKeys secp256r1',
      'MDomain stored.localhost',
      `<MDomain filed.localhost>
MDCertificateFile ssl/pubcert.secp256r1.pem
MDCertificateKeyFile ssl/privkey.secp256r1.pem
</MDomain>`,
      hosts(ports, 'stored.localhost', 'filed.localhost'),
    ),
  );
  await server.start();
  for (const name of ['stored', 'filed']) {
    const { serial, status } = await getSecure(https, `${name}.localhost`);
    assert.deepEqual([serial, status], [serials[name], 200], name);
  }
  await eventually('the warnings', () => told().length >= 2);
  assert.deepEqual(told().sort(), [`${user} expiring filed.localhost`, `${user} expiring stored.localhost`]);
});

/** How many certificates are sent in a handshake. */
function sentCertificates(port: number): number {
  const { stdout } = spawnSync(
    'openssl',
    ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', NAME, '-showcerts'],
    { encoding: 'utf8', input: '', timeout: 10_000 },
  );
  return stdout.split('BEGIN CERTIFICATE').length - 1;
}
