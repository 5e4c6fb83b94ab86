/** Apache and Latchkey on one configuration: whose requests may come by a connection that was made for another host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestServer, eventually, freePorts, missing, run, selfSigned } from '../latchkey.testing.ts';
import { Apache, loadModules, withoutApache } from './apache.testing.ts';
import { curl } from './clients.testing.ts';

/** What a host has that the first one has not. */
const differences: Record<string, string> = {
  same: '',
  versions: 'SSLProtocol TLSv1.3',
  ciphers: 'SSLCipherSuite HIGH:!aNULL',
  groups: 'SSLOpenSSLConfCmd Groups P-256',
  order: 'SSLHonorCipherOrder on',
  tickets: 'SSLSessionTickets off',
  strict: 'SSLStrictSNIVHostCheck on',
  options: 'SSLOptions +StdEnvVars',
  clients: 'SSLVerifyClient optional\nSSLCACertificateFile ca.pem',
  authority: 'SSLCACertificateFile ca.pem',
  depth: 'SSLVerifyDepth 5',
};

test('421 is for whom httpd answers so', async (t) => {
  const lacking = withoutApache || missing('openssl', 'curl');
  if (lacking) return t.skip(lacking);
  // Since 2.4.66 it has a policy.
  const { stdout } = await run('apache2', ['-v']);
  const release = Number(/Apache\/2\.4\.(\d+)/.exec(stdout)?.[1] ?? 0);
  if (release < 66) return t.skip(`Apache 2.4.${release} has no SSLVHostSNIPolicy`);
  const [theirs = 0, ours = 0] = await freePorts(2);
  await using latchkey = new TestServer();
  await using reference = new TestServer();
  const { cert, key } = selfSigned(latchkey.dir, 'any.test');
  const host = (port: number, name: string, more: string) => `
<VirtualHost *:${port}>
  ServerName ${name}.test
  DocumentRoot www
  <Location />
    Require all granted
  </Location>
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
  ${more}
</VirtualHost>`;
  for (const [server, port] of [
    [latchkey, ours],
    [reference, theirs],
  ] as const) {
    server.write('www/index.html', 'hello\n');
    server.write('ca.pem', latchkey.read('any.test.ec.crt'));
    const hosts = Object.entries({ first: '', ...differences });
    server.configure(`${server === reference ? `${loadModules}PidFile pid\n` : ''}
Listen 127.0.0.1:${port}
ServerName base.test
SSLSessionCache none
${hosts.map(([name, more]) => host(port, name, more)).join('')}`);
  }
  await using apache = new Apache(reference.dir);
  await latchkey.start();
  const ask = async (port: number, name: string) => {
    const { code, status } = await curl(
      `https://first.test:${port}/index.html`,
      '-k',
      '-H',
      `Host: ${name}.test`,
    );
    return code === 0 ? status : undefined;
  };
  await eventually('Apache', async () => (await ask(theirs, 'first')) !== undefined).catch(
    (error: unknown) => {
      throw new Error(apache.log(), { cause: error });
    },
  );
  for (const name of Object.keys(differences)) {
    const [expected, found] = await Promise.all([ask(theirs, name), ask(ours, name)]);
    assert.equal(found === 421, expected === 421, `${name}: Apache says ${expected}, Latchkey ${found}`);
  }
});
