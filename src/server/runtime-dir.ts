/**
 * The runtime folder: certificate table and control socket, in memory-backed space, 0700, User's. It outlives
 * engine and workers; what an earlier server left in it is thrown away by the first engine (as User: root
 * removes nothing in a folder that another user can write).
 */
import { rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../base/log.ts';
import { chooseTableDir } from '../certificates/table-dir.ts';
import type { Settings } from '../config/settings.ts';
import type { Identity } from './calls.ts';
import { controlFile } from './control.ts';

/** What a set with an RSA key and its share of a chain takes in the table, and as much again to grow. Bytes. */
const BYTES_PER_SET = 10 * 1024;

/** Finds and makes the folder, and says where the control socket will be in the file beside the PidFile. */
export function prepareRuntimeDir(
  settings: Settings,
  identity: Identity | undefined,
  logger: Logger,
): string {
  const { dir, warning } = chooseTableDir({
    serverRoot: settings.serverRoot,
    server: settings.pidFile,
    need: (settings.hosts.length + settings.domains.length + 100) * BYTES_PER_SET,
    ...(identity ? { owner: identity.uid } : {}),
  });
  if (warning !== undefined) logger.warn(warning);
  writeFileSync(controlFile(settings.pidFile), `${controlSocket(dir)}\n`, { mode: 0o644 });
  return dir;
}

/** Removes the folder if the engine has left it empty: root deletes nothing in another user's folder. */
export function removeRuntimeDir(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // An engine that was killed left something; the next start goes on with the folder.
  }
}

export function tableDir(runtimeDir: string): string {
  return join(runtimeDir, 'table');
}

export function controlSocket(runtimeDir: string): string {
  return join(runtimeDir, 'control.sock');
}
