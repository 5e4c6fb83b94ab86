/**
 * ACME clients that are compared: each obtains one certificate (P-256, http-01) for each of the names, in a folder
 * of its own, with the same CA.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary, missing } from '../test/latchkey.testing.ts';
import { firstLine } from './peers.ts';

export interface Race {
  readonly dir: string;
  readonly names: readonly string[];
  /** Those that had no certificate at the last count. */
  readonly missing: Set<string>;
  readonly directoryUrl: string;
  /** PEM file: whom to trust for the CA's own https. */
  readonly caFile: string;
  readonly httpPort: number;
  readonly httpsPort: number;
}

export interface Contender {
  readonly name: string;
  readonly version: string;
  /** Why it can't run here, or undefined. */
  readonly missing: string | undefined;
  /** Command line of a foreground process. */
  prepare(race: Race): readonly [command: string, ...args: string[]];
  /** How many certificates it has on disk. */
  count(race: Race): number;
}

/** What Apache and Latchkey understand alike. */
function httpdConfig({ dir, names, directoryUrl, caFile, httpPort, httpsPort }: Race): string {
  const host = (name: string) => `MDomain ${name}
<VirtualHost *:${httpsPort}>
  ServerName ${name}
  SSLEngine on
</VirtualHost>
`;
  return `Listen 127.0.0.1:${httpPort}
Listen 127.0.0.1:${httpsPort}
ServerName localhost
User www-data
Group www-data
PidFile ${dir}/httpd.pid
ErrorLog ${dir}/error.log
MDStoreDir ${dir}/md
MDCertificateAuthority ${directoryUrl}
MDCACertificateFile ${caFile}
MDCertificateAgreement accepted
MDContactEmail bench@example.org
MDPortMap 80:${httpPort} 443:${httpsPort}
MDCAChallenges http-01
MDPrivateKeys P-256
${names.map(host).join('')}`;
}

/** How many of the names have a `pubcert` in a group of mod_md's store. */
function countStore({ dir, names, missing }: Race, group: string): number {
  // Counting takes time from who is counted.
  for (const name of missing) {
    if (existsSync(join(dir, 'md', group, name, 'pubcert.p-256.pem'))) missing.delete(name);
  }
  return names.length - missing.size;
}

function countFiles(folder: string, ending: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { recursive: true }).filter((file) => String(file).endsWith(ending)).length;
}

const latchkey: Contender = {
  name: 'Latchkey',
  version: `${firstLine(binary, ['--version'])} (Node.js ${firstLine(process.execPath, ['--version'])})`,
  missing: undefined,
  prepare(race) {
    writeFileSync(join(race.dir, 'httpd.conf'), httpdConfig(race));
    return [binary, '-d', race.dir, '-f', 'httpd.conf', '-X'];
  },
  count: (race) => countStore(race, 'domains'),
};

const apache: Contender = {
  name: 'Apache + mod_md',
  version: firstLine('apache2', ['-v']).replace(/^.*Apache\/(\S+).*$/, '$1'),
  missing: missing('apache2'),
  prepare(race) {
    const modules = ['mpm_event', 'authz_core', 'ssl', 'md', 'socache_shmcb'];
    const load = modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so\n`);
    writeFileSync(
      join(race.dir, 'httpd.conf'),
      `ServerRoot ${race.dir}\n${load.join('')}${httpdConfig(race)}`,
    );
    return ['apache2', '-f', join(race.dir, 'httpd.conf'), '-DFOREGROUND'];
  },
  // Until the next reload they stay there.
  count: (race) => countStore(race, 'staging'),
};

const caddy: Contender = {
  name: 'Caddy',
  version: firstLine('caddy', ['version']),
  missing: missing('caddy'),
  prepare({ dir, names, directoryUrl, caFile, httpPort, httpsPort }) {
    writeFileSync(
      join(dir, 'Caddyfile'),
      `{
  storage file_system ${dir}/caddy
  admin off
  http_port ${httpPort}
  https_port ${httpsPort}
  email bench@example.org
  acme_ca ${directoryUrl}
  acme_ca_root ${caFile}
  key_type p256
}
${names.map((name) => `${name} {\n  respond ok\n}\n`).join('')}`,
    );
    return ['caddy', 'run', '--config', join(dir, 'Caddyfile')];
  },
  count: ({ dir }) => countFiles(join(dir, 'caddy'), '.crt'),
};

const lego: Contender = {
  name: 'lego (one process each, one after another)',
  version: firstLine('lego', ['--version']).replace(/^lego version /, ''),
  missing: missing('lego'),
  prepare({ dir, names, directoryUrl, caFile, httpPort }) {
    mkdirSync(join(dir, 'lego'));
    const options = `--server ${directoryUrl} --email bench@example.org --accept-tos --path ${dir}/lego --key-type ec256 --http --http.port 127.0.0.1:${httpPort}`;
    writeFileSync(
      join(dir, 'lego.sh'),
      `export LEGO_CA_CERTIFICATES=${caFile}
for name in ${names.join(' ')}; do lego ${options} --domains "$name" run; done
sleep 600
`,
    );
    return ['sh', join(dir, 'lego.sh')];
  },
  count: ({ dir }) => {
    const folder = join(dir, 'lego/certificates');
    return countFiles(folder, '.crt') - countFiles(folder, '.issuer.crt');
  },
};

export const contenders: readonly Contender[] = [latchkey, apache, caddy, lego];
