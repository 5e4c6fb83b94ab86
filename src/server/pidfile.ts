/**
 * The PidFile: the supervisor's pid in its first line. While the server is starting or stopping, a second line
 * says so: a start that comes then knows to wait. Whoever starts claims the file before touching anything else
 * that servers of this PidFile share. A stale file (its process is gone, or is somebody else's by now) counts
 * as none.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { LatchkeyError, explain, systemCode } from '../base/errors.ts';

export interface RunningServer {
  readonly pid: number;
  readonly state: 'starting' | 'running' | 'stopping';
}

/** The server that `file` speaks of, if it lives. */
export function runningServer(file: string): RunningServer | undefined {
  const [first = '', second = ''] = (readText(file) ?? '').split('\n');
  const pid = Number(first.trim());
  if (!Number.isInteger(pid) || pid <= 1 || !isAlive(pid) || !isOurs(pid)) return undefined;
  const state = second.trim();
  return { pid, state: state === 'starting' || state === 'stopping' ? state : 'running' };
}

/**
 * Makes `file` speak of this process, as starting. False where it speaks of a server that lives. Throws LatchkeyError
 * `pid-file` where it can't be written.
 */
export function claimPidFile(file: string): boolean {
  const own = `${file}.${process.pid}`;
  try {
    writeFileSync(own, `${process.pid}\nstarting\n`, { mode: 0o644 });
  } catch (error) {
    if (runningServer(file)) return false;
    const remedy = systemCode(error) === 'EACCES' ? '; start as root, or name a place of your own' : '';
    throw new LatchkeyError('pid-file', `PidFile: cannot write ${file}: ${explain(error)}${remedy}`);
  }
  try {
    if (tryLink(own, file)) return true;
    if (runningServer(file)) return false;
    putAside(file, `${own}.stale`);
    return tryLink(own, file);
  } finally {
    rmSync(own, { force: true });
  }
}

/** Removes a stale file, unless another start was faster and it is not stale any more. */
function putAside(file: string, aside: string): void {
  try {
    renameSync(file, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  if (runningServer(aside)) tryLink(aside, file);
  rmSync(aside, { force: true });
}

/** False if `to` is there. */
function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Says that this process, which has claimed the file, serves now. */
export function markRunning(file: string): void {
  rewrite(file, `${process.pid}\n`);
}

export function markStopping(file: string): void {
  rewrite(file, `${process.pid}\nstopping\n`);
}

/** Whether `file` speaks of this process. */
export function ownsPidFile(file: string): boolean {
  return readText(file)?.startsWith(`${process.pid}\n`) === true;
}

/** Removes the file if it still speaks of this process. */
export function removePidFile(file: string): void {
  if (ownsPidFile(file)) rmSync(file, { force: true });
}

/** As a whole: a reader in between must not find an empty file, which is stale. */
function rewrite(file: string, text: string): void {
  if (!ownsPidFile(file)) return;
  const own = `${file}.${process.pid}`;
  writeFileSync(own, text, { mode: 0o644 });
  renameSync(own, file);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (systemCode(error) !== 'EPERM') return false;
  }
  return !isZombie(pid);
}

/** Ended, but its parent has not asked after it: in a container without an init, nobody ever will. */
function isZombie(pid: number): boolean {
  return /^State:\s+Z/m.test(readText(`/proc/${pid}/status`) ?? '');
}

/** Pids are used again: where /proc tells, the process has to look like a Latchkey. */
function isOurs(pid: number): boolean {
  const commandLine = readText(`/proc/${pid}/cmdline`);
  if (commandLine === undefined) return true;
  return /\/(?:supervisor|cli)\/main\.[jt]s/.test(commandLine);
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
