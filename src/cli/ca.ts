/** `latchkey ca`: the embedded CA by itself, and its root for those who have to trust it. */
import { lstat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { LatchkeyError } from '../base/errors.ts';
import { createLoggers } from '../base/log.ts';
import type { Loggers } from '../base/log.ts';
import { revocationReasons } from '../ca/revocations.ts';
import type { RevocationReason } from '../ca/revocations.ts';
import { revokeIn } from '../ca/revoke.ts';
import { startLocalCa } from '../ca/server.ts';
import type { LocalCaSettings } from '../ca/settings.ts';
import { installRoot, rootCertificate } from '../ca/trust.ts';
import { duration } from '../config/values.ts';
import { dropPrivileges, resolveIdentity } from '../server/privileges.ts';
import type { Where } from './where.ts';

export interface CaOptions {
  readonly dir: string;
  readonly listen: string;
  readonly lifetime: string;
  readonly httpPort: string;
  readonly tlsPort: string;
  readonly resolver?: string;
  readonly eab?: boolean;
}

export interface TrustOptions {
  readonly dir?: string;
  readonly install?: boolean;
}

export interface RevokeCommandOptions {
  readonly dir?: string;
  readonly reason: string;
}

/** Prints the root of the CA in `dir`, else of that server's, else of ./ca; or puts it among the system's trusted ones. */
export async function trust({ dir, install }: TrustOptions, server: Where | undefined): Promise<void> {
  const folder = await folderOf(dir, server);
  process.stdout.write(install ? `${await installRoot(folder)}\n` : await rootCertificate(folder));
}

/** Revokes what `what` names among the certificates of that CA: a serial number, a file, or a name. */
export async function revoke(
  what: string,
  { dir, reason }: RevokeCommandOptions,
  server: Where | undefined,
): Promise<void> {
  const folder = await folderOf(dir, server);
  await becomeOwner(folder);
  const options = { reason: reasonNamed(reason), clock: systemClock, logger: toStandardError()('ca') };
  for (const { serial, names, earlier } of await revokeIn(folder, what, options)) {
    const done = earlier ? 'was revoked earlier' : `is revoked (${reason})`;
    process.stdout.write(`${serial} ${names.join(' ')} ${done}\n`);
  }
}

/** Root becomes whom the CA's state belongs to, who could have laid links there; and whose files they are to be. */
async function becomeOwner(folder: string): Promise<void> {
  const state = await lstat(join(folder, 'acme')).catch(() => undefined);
  if (state) dropPrivileges(resolveIdentity(`#${state.uid}`, `#${state.gid}`));
}

function reasonNamed(name: string): RevocationReason {
  for (const [known, code] of Object.entries(revocationReasons)) {
    if (known.toLowerCase() === name.toLowerCase()) return code;
  }
  throw usage(`'${name}' is no reason; there are: ${Object.keys(revocationReasons).join(', ')}`);
}

async function folderOf(dir: string | undefined, server: Where | undefined): Promise<string> {
  if (dir !== undefined || !server) return resolve(dir ?? 'ca');
  const { loadConfiguration } = await import('../config/load.ts');
  const { localCa } = loadConfiguration(server).settings;
  if (!localCa) throw usage(`LocalCA is not on in ${server.file}; --dir names the folder of another CA`);
  return localCa.dir;
}

/** Runs the CA until it is interrupted. */
export async function run(options: CaOptions): Promise<void> {
  const ca = await startLocalCa(settingsOf(options), { clock: systemClock, loggers: toStandardError() });
  process.stdout.write(
    `ACME directory: ${ca.directoryUrl}\nroot:           ${resolve(options.dir, 'root.pem')}\n`,
  );
  const { promise, resolve: stop } = Promise.withResolvers<void>();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  await promise;
  await ca.close();
}

function toStandardError(): Loggers {
  return createLoggers(
    (line) => process.stderr.write(`${line}\n`),
    () => ({ all: 'info', modules: {} }),
  );
}

function settingsOf(options: CaOptions): LocalCaSettings {
  const { address, port } = endpoint(options.listen);
  return {
    address,
    port,
    dir: resolve(options.dir),
    lifetime: lifetimeOf(options.lifetime),
    httpPort: portNumber(options.httpPort),
    tlsPort: portNumber(options.tlsPort),
    resolver: options.resolver,
    externalAccountRequired: options.eab === true,
  };
}

function lifetimeOf(text: string): number {
  const ms = duration(text, 'd');
  if (!ms) throw usage(`'${text}' is not a duration: 30s, 10mi, 12h, 7d`);
  return ms;
}

function endpoint(text: string): { address: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text);
  if (!match) throw usage(`'${text}' is not ADDRESS:PORT`);
  return { address: match[1] ?? match[2] ?? '', port: portNumber(match[3] ?? '') };
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw usage(`'${text}' is not a port`);
  return port;
}

function usage(message: string): LatchkeyError {
  return new LatchkeyError('usage', message);
}
