/** `-t`, `-S`, `-M` and `-v`. */
import { readFileSync } from 'node:fs';
import { explain } from '../base/errors.ts';
import { version } from '../base/version.ts';
import { isEncrypted } from '../certificates/encrypted-key.ts';
import { createCredential } from '../certificates/credential.ts';
import { ConfigError, formatWarning } from '../config/errors.ts';
import { describeHosts } from '../config/describe.ts';
import { loadConfiguration } from '../config/load.ts';
import { describeModules } from '../config/modules.ts';
import type { CertificateFiles, Settings, Warning } from '../config/settings.ts';
import { PkiError } from '../pki/errors.ts';
import { resolveIdentity } from '../server/privileges.ts';
import { readTlsFiles, type TlsFiles } from '../server/tls-files.ts';
import { HandshakePlan } from '../server/worker/handshake.ts';
import type { Where } from './where.ts';

export function showVersion(): void {
  process.stdout.write(
    `Server version: Latchkey/${version}\nRuntime:        Node.js ${process.version}, OpenSSL ${process.versions.openssl}\n`,
  );
}

/**
 * Reads the configuration and every certificate it names. Throws ConfigError, or PrivilegeError where root asks
 * about a User or Group there is not.
 */
export function validSettings(where: Where): Settings {
  return valid(where).settings;
}

function valid(where: Where): { settings: Settings; warnings: readonly Warning[] } {
  const { settings } = loadConfiguration(where);
  for (const files of certificateFiles(settings).values()) checkPair(files, settings);
  const { warnings } = checkTls(settings);
  resolveIdentity(settings.user, settings.group);
  return { settings, warnings };
}

/** Throws as validSettings() does; says `Syntax OK` on stderr else. */
export function check(where: Where, show: { readonly hosts: boolean; readonly modules: boolean }): void {
  const { settings, warnings } = valid(where);
  for (const warning of [...settings.warnings, ...warnings]) {
    process.stderr.write(`${formatWarning(warning)}\n`);
  }
  if (show.hosts) process.stdout.write(describeHosts(settings));
  if (show.modules) process.stdout.write(describeModules());
  process.stderr.write('Syntax OK\n');
}

/** Whether OpenSSL can do what the hosts ask for: protocols, ciphers, CAs of clients. */
function checkTls(settings: Settings): TlsFiles {
  const files = readTlsFiles(settings);
  void new HandshakePlan({ settings, setIds: [], ...files });
  return files;
}

function certificateFiles(settings: Settings): Map<string, CertificateFiles> {
  const all = [settings.base, ...settings.hosts].flatMap((host) => host.tls.certificates);
  return new Map(all.map((files) => [`${files.certificateFile}\n${files.keyFile}`, files] as const));
}

function checkPair(files: CertificateFiles, { passphraseCommand }: Settings): void {
  try {
    // The passphrase is asked for when there is something to start.
    if (passphraseCommand && isEncrypted(readFileSync(files.keyFile, 'latin1'))) return;
    createCredential({
      chain: readFileSync(files.certificateFile, 'latin1'),
      key: readFileSync(files.keyFile, 'latin1'),
    });
  } catch (error) {
    throw new ConfigError(pairProblem(error, files), files.at);
  }
}

function pairProblem(error: unknown, { certificateFile, keyFile }: CertificateFiles): string {
  if (!(error instanceof PkiError) || error.code !== 'key-unreadable')
    return `${certificateFile}: ${explain(error)}`;
  const remedy =
    keyFile === certificateFile ? '. A key in a file of its own is named by SSLCertificateKeyFile' : '';
  return `${keyFile}: ${explain(error)}${remedy}`;
}
