/**
 * `-k start` and its kin: the way from the command line to a server in the background and back. The launcher
 * starts a supervisor detached from the terminal and with no descriptor of the caller (who reads our pipes
 * sees their end), waits until it serves or says why not, and leaves.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConfigurationSource } from '../config/load.ts';
import { claimPidFile, isAlive, runningServer } from './pidfile.ts';
import { readReloadState, type ReloadState } from './reload-state.ts';

export type LaunchReport =
  | { readonly kind: 'ready' }
  /** httpd calls this a success. */
  | { readonly kind: 'already-running'; readonly message: string }
  | { readonly kind: 'failed'; readonly message: string };

/** How long a start waits for a predecessor that is stopping, and a stop for the server to be gone (ms). */
const PATIENCE = 30_000;

/** Starts a server in the background; fulfilled when it serves, or has said why it doesn't. */
export async function launch(input: ConfigurationSource): Promise<LaunchReport> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const entry = fileURLToPath(new URL(`./supervisor/main.${extension}`, import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, entry, JSON.stringify(input)], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const { promise, resolve } = Promise.withResolvers<LaunchReport>();
  const { promise: exited, resolve: exit } = Promise.withResolvers<void>();
  const failed = (message: string) => resolve({ kind: 'failed', message });
  child.once('error', (error) => {
    failed(error.message);
    exit();
  });
  child.once('exit', (code, signal) => {
    failed(`the server ended while starting (${signal ?? `exit ${code}`})`);
    exit();
  });
  child.once('message', (report: LaunchReport) => resolve(report));
  const outcome = await promise;
  if (child.connected) child.disconnect();
  // Of a start that failed nothing is left by the time this is known.
  if (outcome.kind === 'ready') child.unref();
  else await exited;
  return outcome;
}

/**
 * Claims a PidFile for this process. One who is starting or stopping is waited for. Gives the pid of the server
 * that has the file, undefined when it is ours.
 */
export async function claim(pidFile: string): Promise<number | undefined> {
  const end = performance.now() + PATIENCE;
  while (!claimPidFile(pidFile)) {
    const other = runningServer(pidFile);
    if (other && (other.state === 'running' || performance.now() > end)) return other.pid;
    await delay(20);
  }
  return undefined;
}

/** Fulfilled when `pid` is gone: true, or false after half a minute. */
export function awaitEnd(pid: number): Promise<boolean> {
  return comesTrue(() => !isAlive(pid));
}

/** Fulfilled when a start would not take the server `pid` for one that runs: true, or false after half a minute. */
export function awaitStopping(pidFile: string, pid: number): Promise<boolean> {
  return comesTrue(() => {
    const running = runningServer(pidFile);
    return running?.pid !== pid || running.state === 'stopping';
  });
}

/** What came of the `number`th reload of the server, or of a later one; undefined after half a minute. */
export async function awaitReload(pidFile: string, number: number): Promise<ReloadState | undefined> {
  const concluded = await comesTrue(() => readReloadState(pidFile).done >= number);
  return concluded ? readReloadState(pidFile) : undefined;
}

async function comesTrue(condition: () => boolean): Promise<boolean> {
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    if (condition()) return true;
    await delay(20);
  }
  return false;
}
