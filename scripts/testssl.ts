/**
 * Has testssl.sh (Debian's testssl.sh) judge the README's first configuration, and writes docs/testssl.json: what it
 * found good, and what not. Ends with 1 where something is of medium severity or worse.
 *
 * The certificate comes from the embedded CA, of whose root testssl.sh is told; ports are free ones of the loopback.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { eventually, freePorts, missing, TestServer } from '../test/latchkey.testing.ts';

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

const FILE = 'docs/testssl.json';
const NAME = 'example.localhost';
const BAD: ReadonlySet<string> = new Set(['MEDIUM', 'HIGH', 'CRITICAL']);
/** Of this machine's openssl and of this hour. */
const OF_THIS_RUN = /^(?:engine_problem|old_fart|scanTime|cert_(?:expirationStatus|notAfter|notBefore))$/;

const lacking = missing('testssl', 'openssl');
if (lacking) throw new Error(lacking);
const [http = 0, https = 0, ca = 0] = await freePorts(3);
await using server = new TestServer();
server.write('html/index.html', 'hello\n');
server.configure(`${configurationOfReadme()}
MDStapling on
MDPortMap http:${http} https:${https}
MDCertificateAuthority local
LocalCA on 127.0.0.1:${ca}
LocalCAPorts http:${http} https:${https}
LocalCALifetime 90d
`);
await server.start();
await eventually('a certificate', async () => (await server.status()).domains[0]?.state === 'complete');

const all = await judge();
const bad = all.filter(({ severity }) => BAD.has(severity));
const worth = all.filter(({ id, severity }) => severity !== 'INFO' && !OF_THIS_RUN.test(id));
writeFileSync(FILE, `${JSON.stringify(worth, undefined, 2)}\n`);
for (const { id, severity, finding } of all.filter((one) => one.severity !== 'OK' && one.severity !== 'INFO'))
  process.stdout.write(`${severity} ${id}: ${finding}\n`);
process.stdout.write(`${FILE}: ${worth.length} findings, ${bad.length} of medium severity or worse\n`);
process.exitCode = bad.length > 0 ? 1 : 0;

function configurationOfReadme(): string {
  const text = /^A dozen lines.*\n\n((?: {4}.*\n)+)/m.exec(readFileSync('README.md', 'utf8'))?.[1] ?? '';
  return text
    .replace(/^ *User .*\n/m, '')
    .replaceAll('example.org', NAME)
    .replace('Listen 80', `Listen 127.0.0.1:${http}`)
    .replace('Listen 443', `Listen 127.0.0.1:${https} https`)
    .replace('*:80 *:443', `*:${http} *:${https}`)
    .replace('/srv/www/html', 'html');
}

async function judge(): Promise<Finding[]> {
  const json = `${server.dir}/testssl.json`;
  const trust = ['--add-ca', `${server.dir}/ca/root.pem`];
  const output = ['--jsonfile', json, '--quiet', '--color', '0', '--warnings', 'off'];
  const whom = ['--nodns', 'none', '--ip', '127.0.0.1', `${NAME}:${https}`];
  // Minutes; its exit code counts findings.
  await once(spawn('testssl', [...output, ...trust, ...whom], { stdio: 'ignore' }), 'close');
  const found = JSON.parse(readFileSync(json, 'utf8')) as Finding[];
  const here = new RegExp(`127\\.0\\.0\\.1|:(?:${[http, https, ca].join('|')})\\b`, 'g');
  return found.map(({ id, severity, finding }) => ({ id, severity, finding: finding.replaceAll(here, '') }));
}
