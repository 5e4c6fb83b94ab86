/** Writes docs/images/: the status pages of a real server with its own CA, as Chromium shows them. */
import { mkdirSync } from 'node:fs';
import { launchChromium, withoutChromium } from '../src/status/browser.testing.ts';
import { eventually, freePorts, TestServer } from '../test/latchkey.testing.ts';

const NAMES = ['api.localhost', 'blog.localhost', 'intranet.localhost', 'shop.localhost', 'old.shop.test'];
const FOLDER = 'docs/images';

const wide = { width: 1180, height: 760 };
const narrow = { width: 400, height: 860 };
const shots = [
  { file: 'overview-light', path: '', colorScheme: 'light', viewport: wide },
  { file: 'overview-dark', path: '', colorScheme: 'dark', viewport: wide },
  { file: 'overview-narrow', path: '', colorScheme: 'light', viewport: narrow },
  { file: 'domain-light', path: '/shop.localhost', colorScheme: 'light', viewport: wide },
  { file: 'domain-dark', path: '/shop.localhost', colorScheme: 'dark', viewport: wide },
  { file: 'domain-narrow', path: '/old.shop.test', colorScheme: 'light', viewport: narrow },
  { file: 'failing-light', path: '/old.shop.test', colorScheme: 'light', viewport: wide },
] as const;

if (withoutChromium) throw new Error(withoutChromium);
const [http = 0, https = 0, ca = 0] = await freePorts(3);
await using server = new TestServer();
server.configure(`
Workers 2
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https} https
LocalCA on 127.0.0.1:${ca}
LocalCAPorts http:${http} https:${https}
LocalCALifetime 90d
MDPortMap 80:${http} 443:${https}
MDCertificateAuthority local
MDCertificateAgreement accepted
MDContactEmail admin@shop.localhost
MDPrivateKeys P-256
${NAMES.map((name) => `MDomain ${name}`).join('\n')}
<Location /server-status>
  SetHandler server-status
</Location>
${NAMES.map((name) => `<VirtualHost *:${https}>\n  ServerName ${name}\n  ServerAlias www.${name}\n</VirtualHost>`).join('\n')}
`);
await server.start();
await eventually('certificates, and one failure', async () => {
  const { domains } = await server.status();
  return domains.every(({ state, problem }) => state === 'complete' || problem);
});

mkdirSync(FOLDER, { recursive: true });
const browser = await launchChromium();
for (const { file, path, ...options } of shots) {
  const page = await browser.newPage(options);
  await page.goto(`http://status.localhost:${http}/server-status${path}`);
  await page.screenshot({ path: `${FOLDER}/${file}.png` });
  await page.close();
}
await browser.close();
