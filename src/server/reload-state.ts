/**
 * What came of reloads, for those who ask for one by a signal and can't be answered: beside the PidFile lies
 * `PIDFILE.reload`, which the supervisor writes when it has heard of a reload and again when that is concluded.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import * as v from 'valibot';

const schema = v.object({
  /** How many reloads this server was asked for, and how many of them are concluded. */
  asked: v.number(),
  done: v.number(),
  /** Why the last one failed. */
  problem: v.optional(v.string()),
});

export type ReloadState = v.InferOutput<typeof schema>;

const NONE: ReloadState = { asked: 0, done: 0 };

/** As a whole: a reader never finds half of it. Without room for it a reload goes on all the same. */
export function writeReloadState(pidFile: string, state: ReloadState): void {
  const own = `${stateFile(pidFile)}.${process.pid}`;
  try {
    writeFileSync(own, `${JSON.stringify(state)}\n`, { mode: 0o644 });
    renameSync(own, stateFile(pidFile));
  } catch {
    rmSync(own, { force: true });
  }
}

/** That of a server which was never asked for a reload, where there is none. */
export function readReloadState(pidFile: string): ReloadState {
  try {
    return v.parse(schema, JSON.parse(readFileSync(stateFile(pidFile), 'utf8')));
  } catch {
    return NONE;
  }
}

export function removeReloadState(pidFile: string): void {
  rmSync(stateFile(pidFile), { force: true });
}

function stateFile(pidFile: string): string {
  return `${pidFile}.reload`;
}
