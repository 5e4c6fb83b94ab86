/** Chromium at a managed domain: HTTP/2, one connection for several names, and sessions that are resumed. */
import assert from 'node:assert/strict';
import { X509Certificate, createHash } from 'node:crypto';
import { test } from 'node:test';
import { launchChromium, withoutChromium } from '../../src/status/browser.testing.ts';
import { eventually, freePorts, TestServer } from '../latchkey.testing.ts';
import { installed } from './authority.testing.ts';

const WWW = 'www.shop.localhost';
const STATIC = 'static.shop.localhost';
/** Has another TLS policy, and the same certificate. */
const STRICT = 'strict.shop.localhost';
/** Has a certificate of its own, HTTP/1.1, and a connection for each request. */
const SINGLE = 'single.shop.localhost';

test('Chromium', { skip: withoutChromium }, async (t) => {
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  await using server = new TestServer();
  server.write('www/index.html', '<!doctype html><title>shop</title>hello');
  server.write('www/icon.svg', '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>');
  const host = (name: string, ...more: string[]) =>
    [`<VirtualHost *:${http} *:${https}>`, `ServerName ${name}`, ...more, '</VirtualHost>'].join('\n');
  server.configure(`
Workers 2
Protocols h2 http/1.1
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https} https
LocalCA on 127.0.0.1:${ca}
LocalCAPorts http:${http} https:${https}
MDPortMap http:${http} https:${https}
MDCertificateAuthority local
MDCertificateAgreement accepted
MDContactEmail admin@shop.localhost
MDomain ${WWW} ${STATIC} ${STRICT}
MDomain ${SINGLE}
LogLevel info
LogFormat "%V %{remote}p %H %>s %{SSL_SESSION_RESUMED}x" visits
CustomLog logs/visits visits
DocumentRoot www
${host(WWW)}
${host(STATIC)}
${host(STRICT, 'SSLProtocol TLSv1.2')}
${host(SINGLE, 'Protocols http/1.1', 'KeepAlive Off')}`);
  await server.start();
  await installed(server, WWW, SINGLE);

  // Trusts this server's authority, and what that is known by has to be in the chain that is sent.
  const { publicKey } = new X509Certificate(server.read('ca/intermediate.pem'));
  const authority = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64');
  await using browser = await launchChromium(
    `--ignore-certificate-errors-spki-list=${authority}`,
    '--host-resolver-rules=MAP *.localhost 127.0.0.1',
  );
  const page = await browser.newPage();
  /** What a host has answered by https, and on which connection. */
  const visits = (name: string, count: number) =>
    eventually(`${count} lines for ${name}`, () => {
      const lines = server.read('logs/visits').split('\n');
      const found = lines.filter((line) => line.startsWith(`${name} `) && !line.endsWith(' -'));
      return found.length >= count && found.map(visit);
    });
  // From one page all the time: what belongs to different sites is never shared.
  const load = (name: string) =>
    page.evaluate(async (url) => {
      await fetch(url, { mode: 'no-cors', credentials: 'include', cache: 'no-store' });
    }, `https://${name}:${https}/icon.svg`);

  const answer = await page.goto(`https://${WWW}:${https}/`);
  const [first] = await visits(WWW, 1);

  await t.test('loads a page by HTTP/2 and TLS 1.3', async () => {
    assert.equal(await page.title(), 'shop');
    const { protocol, subjectName } = (await answer?.securityDetails()) ?? {};
    assert.deepEqual([protocol, subjectName], ['TLS 1.3', WWW]);
    assert.equal(first?.how, 'HTTP/2.0 200 Initial');
  });

  await t.test('has one connection for two names of a certificate', async () => {
    await load(STATIC);
    assert.deepEqual(await visits(STATIC, 1), [{ port: first?.port, how: 'HTTP/2.0 200 Initial' }]);
  });

  await t.test('opens another where a name has a policy of its own', async () => {
    await load(STRICT);
    const [misdirected, other] = await visits(STRICT, 2);
    assert.deepEqual(misdirected, { port: first?.port, how: 'HTTP/2.0 421 Initial' });
    assert.equal(other?.how, 'HTTP/2.0 200 Initial');
    assert.notEqual(other?.port, first?.port);
  });

  await t.test('comes back with a ticket', async () => {
    await load(SINGLE);
    await load(SINGLE);
    const both = (await visits(SINGLE, 2)).map(({ how }) => how);
    assert.deepEqual(both, ['HTTP/1.1 200 Initial', 'HTTP/1.1 200 Resumed']);
  });
});

function visit(line: string): { port: string | undefined; how: string } {
  const [, port, ...how] = line.split(' ');
  return { port, how: how.join(' ') };
}
