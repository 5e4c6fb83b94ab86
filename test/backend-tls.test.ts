/** SSLProxy and TLSProxy directives on a whole server: files that only its starter need read, places, warnings. */
import assert from 'node:assert/strict';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { test } from 'node:test';
import { createAuthority } from '../src/certificates/credentials.testing.ts';
import { freePorts, missing, run, TestServer } from './latchkey.testing.ts';

test('backends are verified, and shown certificates, as their place says', async (t) => {
  const lacking = missing('curl');
  if (lacking) return t.skip(lacking);
  const authority = await createAuthority();
  const own = await authority.issue(['localhost']);
  const [machine, second] = [await authority.issue(['machine']), await authority.issue(['second'])];
  const backend = https.createServer(
    {
      cert: own.chainPem,
      key: own.keyPem,
      ca: authority.rootPem,
      requestCert: true,
      rejectUnauthorized: false,
    },
    ({ socket }, response) =>
      response.end((socket as TLSSocket).getPeerX509Certificate()?.subject ?? 'a stranger'),
  );
  await new Promise<void>((resolve) => void backend.listen(0, '127.0.0.1', resolve));
  t.after(() => void backend.close());
  const { port } = backend.address() as AddressInfo;
  const [front = 0] = await freePorts(1);
  await using server = new TestServer();
  server.write('ca.pem', authority.rootPem);
  server.write('machine.pem', machine.keyPem + machine.chainPem);
  server.write('second.pem', second.keyPem + second.chainPem);
  server.configure(`
Listen 127.0.0.1:${front}
SSLProxyEngine on
SSLProxyCACertificateFile ca.pem
<VirtualHost *:${front}>
  ProxyPass /plain/ https://localhost:${port}/plain/
  ProxyPass /known/ https://localhost:${port}/known/
  ProxyPass /strange/ https://localhost:${port}/strange/
  <Proxy https://localhost:${port}/known/>
    SSLProxyMachineCertificateFile machine.pem
    SSLProxyMachineCertificateFile second.pem
  </Proxy>
  <Proxy https://localhost:${port}/strange/>
    TLSProxyEngine on
    SSLProxyEngine off
  </Proxy>
</VirtualHost>`);
  await server.start();
  const ask = async (path: string) =>
    (await run('curl', ['-sS', '-w', ' %{http_code}', `http://127.0.0.1:${front}${path}`])).stdout;
  assert.equal(await ask('/plain/'), 'a stranger 200');
  assert.equal(await ask('/known/'), 'CN=machine 200');
  // TLSProxyCA is the system's authorities here.
  assert.match(await ask('/strange/'), / 502$/);
  assert.match(server.log(), /\[ssl:warn\].*second\.pem is not shown to backends.*key of type ec/);
  const { code, stderr } = await server.run('-t');
  assert.equal(code, 0);
  assert.match(stderr, /second\.pem is not shown to backends/);
  server.write('machine.pem', machine.keyPem);
  assert.equal((await server.run('-t')).code, 1);
});
