/**
 * The PidFile: the supervisor's pid in its first line. A stopping server adds a second line, so that a start
 * that follows at once knows to wait for it. A stale file (its process is gone, or is somebody else's by now)
 * counts as none.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { systemCode } from '../base/errors.ts';

export interface RunningServer {
  readonly pid: number;
  readonly stopping: boolean;
}

/** The server that `file` speaks of, if it lives. */
export function runningServer(file: string): RunningServer | undefined {
  const text = readText(file);
  if (text === undefined) return undefined;
  const [first = '', second = ''] = text.split('\n');
  const pid = Number(first.trim());
  if (!Number.isInteger(pid) || pid <= 1 || !isAlive(pid) || !isOurs(pid)) return undefined;
  return { pid, stopping: second.trim() === 'stopping' };
}

export function writePidFile(file: string): void {
  writeFileSync(file, `${process.pid}\n`, { mode: 0o644 });
}

export function markStopping(file: string): void {
  if (readText(file)?.startsWith(`${process.pid}\n`)) writeFileSync(file, `${process.pid}\nstopping\n`);
}

/** Removes the file if it still speaks of this process. */
export function removePidFile(file: string): void {
  if (readText(file)?.startsWith(`${process.pid}\n`)) rmSync(file, { force: true });
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
