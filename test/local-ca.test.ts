/** `latchkey ca`: the root of a server's own CA, for those who have to trust it. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openssl } from '../src/pki/openssl.testing.ts';
import { localAuthority, server as base } from './faults/faults.testing.ts';
import { TestServer, eventually, freePorts } from './latchkey.testing.ts';

test('ca trust finds the root where the configuration keeps it', async () => {
  await using server = new TestServer();
  const [port = 0, ca = 0] = await freePorts(2);
  const text = `Listen 127.0.0.1:${port}\nLocalCADir own-ca\n`;
  server.configure(`${text}LocalCA on 127.0.0.1:${ca}\n`);
  await server.start();
  const where = ['-d', server.dir, '-f', 'httpd.conf'];
  const { stdout } = await server.latchkey('ca', 'trust', ...where);
  assert.equal(stdout, server.read('own-ca/root.pem'));
  const modes = ['', 'root.pem', 'root-key.pem', 'acme'].map((name) => {
    const { mode } = statSync(join(server.dir, 'own-ca', name));
    return (mode & 0o777).toString(8);
  });
  assert.deepEqual(modes, ['755', '644', '600', '700'], 'other users read the root, and nothing else');
  assert.equal((await server.latchkey(...where, 'ca', 'trust')).stdout, stdout);
  assert.equal((await server.latchkey('ca', 'trust', '--dir', `${server.dir}/own-ca`)).stdout, stdout);

  server.configure(text);
  const { code, stderr } = await server.latchkey('ca', 'trust', ...where);
  assert.equal(code, 1);
  assert.match(stderr, /LocalCA is not on in .*httpd\.conf/);
});

test('ca revoke counts at once in a CA that runs, by its folder and by the server it belongs to', async () => {
  await using server = new TestServer();
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  const ports = { http, https };
  server.write('htdocs/index.html', 'a\n');
  // As root, one that can't read what only root may read.
  const owner = process.getuid?.() === 0 ? ['User nobody', 'Group nogroup'] : [];
  server.configure(base(ports, localAuthority(ports, ca, 'a.localhost'), ...owner));
  await server.start();
  const served = await eventually('a certificate', async () => {
    const [domain] = (await server.status()).domains;
    return domain?.certificates[0]?.serial;
  });
  const list = async () => {
    const response = await fetch(`http://127.0.0.1:${ca}/crl`);
    return openssl(['crl', '-inform', 'DER', '-noout', '-text'], Buffer.from(await response.arrayBuffer()));
  };
  assert.match(await list(), /No Revoked Certificates/);
  const wrong = await server.run('ca', 'revoke', 'b.localhost');
  assert.deepEqual([wrong.code, /b\.localhost is neither/.test(wrong.stderr)], [1, true]);
  assert.match((await server.run('ca', 'revoke', served, '--reason', 'x')).stderr, /keyCompromise/);
  const { stdout } = await server.run('ca', 'revoke', served, '--reason', 'keycompromise');
  assert.equal(stdout, `${served} a.localhost is revoked (keycompromise)\n`);
  assert.match(await list(), new RegExp(`Serial Number: ${served}[^]*Key Compromise`));
  const [state, written] = ['acme', `acme/revoked/${served}.json`].map((name) =>
    statSync(join(server.dir, 'ca', name)),
  );
  assert.equal(written?.uid, state?.uid, 'it is the CA’s own, whoever revoked');
  const again = await server.latchkey('ca', 'revoke', served, '--dir', `${server.dir}/ca`);
  assert.equal(again.stdout, `${served} a.localhost was revoked earlier\n`);
});
