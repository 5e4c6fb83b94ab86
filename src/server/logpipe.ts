/**
 * Log lines of the engine and the workers travel through a pipe of each (descriptor 3) to the supervisor, who
 * alone has the log files open. A record is `FILE <tab> LINE <newline>`; FILE must be one that the
 * configuration names, whatever a child says.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { explain } from '../base/errors.ts';
import { formatLine } from '../base/log.ts';
import type { Settings } from '../config/settings.ts';

export const LOG_FD = 3;

/** Lines waiting in a child for a supervisor that doesn't read are dropped beyond this many bytes. */
const WAITING_LIMIT = 4 * 1024 * 1024;

/** A longer line of a child is cut here, in characters: whatever a child sends, the supervisor keeps no more. */
const LONGEST_LINE = 1024 * 1024;

/** The child's side. */
export class LogSender {
  readonly #pipe = new Socket({ fd: LOG_FD, readable: false, writable: true });
  #batch: string[] = [];

  constructor() {
    // A supervisor that is gone takes this process with it; its pipe's error is no news.
    this.#pipe.on('error', () => {});
    this.#pipe.unref();
  }

  /** `line` has no newline in it. */
  write(file: string, line: string): void {
    if (this.#pipe.writableLength > WAITING_LIMIT) return;
    if (this.#batch.length === 0) setImmediate(() => this.#flush());
    this.#batch.push(`${file}\t${line}\n`);
  }

  #flush(): void {
    this.#pipe.write(this.#batch.join(''));
    this.#batch = [];
  }

  /** Hands over what waits, even if the process ends right after. */
  finish(): void {
    if (this.#batch.length > 0) this.#flush();
  }
}

/** The supervisor's side: the log files, held open for appending. */
export class LogFiles {
  #open = new Map<string, number>();
  #main: string;

  /** Opens all files of the configuration. Throws the system's error with the file's name in it. */
  constructor(settings: Settings) {
    this.#main = mainLog(settings);
    this.#open = openAll(settings);
  }

  /** What the main error log is called. */
  get main(): string {
    return this.#main;
  }

  /** Opens the files of (perhaps new) settings afresh, then lets go of the old: after this, logs are rotated. */
  reopen(settings: Settings): void {
    const before = this.#open;
    this.#open = openAll(settings);
    this.#main = mainLog(settings);
    closeLogs(before);
  }

  /** Appends a line. A full disk loses the line and nothing else. */
  append(file: string, line: string): void {
    const fd = this.#open.get(file) ?? this.#open.get(this.#main);
    if (fd === undefined) return;
    try {
      writeSync(fd, `${line}\n`);
    } catch {
      // Nowhere is left to say so.
    }
  }

  /** Takes the records of a child until its pipe ends. */
  collect(pipe: Readable): void {
    forEachLine(pipe, (record) => {
      const tab = record.indexOf('\t');
      if (tab > 0) this.append(record.slice(0, tab), record.slice(tab + 1));
    });
  }

  /** Takes what a child writes to stderr: Node's own last words. */
  collectStderr(pipe: Readable, name: string): void {
    forEachLine(pipe, (line) => {
      this.append(this.#main, formatLine(new Date(), 'core', 'error', `${name}: ${line}`));
    });
  }
}

/** Only a newline ends a line: node:readline knows more ends, and text from the network could hold them. */
function forEachLine(pipe: Readable, take: (line: string) => void): void {
  let rest = '';
  pipe.setEncoding('utf8');
  pipe.on('error', () => {});
  pipe.on('data', (chunk: string) => {
    const lines = chunk.split('\n');
    lines[0] = rest + (lines[0] ?? '');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
    if (rest.length <= LONGEST_LINE) return;
    take(rest);
    rest = '';
  });
}

function mainLog(settings: Settings): string {
  return settings.base.errorLog ?? '/dev/stderr';
}

/** All log files that the configuration names. */
export function logFileNames(settings: Settings): Set<string> {
  const names = new Set([mainLog(settings)]);
  for (const host of [settings.base, ...settings.hosts]) {
    if (host.errorLog !== undefined) names.add(host.errorLog);
    for (const log of host.customLogs) names.add(log.file);
  }
  return names;
}

function openAll(settings: Settings): Map<string, number> {
  const files = new Map<string, number>();
  for (const name of logFileNames(settings)) {
    try {
      files.set(name, openLog(name));
    } catch (error) {
      closeLogs(files);
      throw new Error(`AH00091: could not open log file ${name}: ${explain(error)}`, { cause: error });
    }
  }
  return files;
}

/** Descriptors that are the process's own, and never closed here. */
const STANDARD: ReadonlyMap<string, number> = new Map([
  ['/dev/stdout', 1],
  ['/dev/stderr', 2],
]);

/** A socket (systemd's journal), or what is another user's, can't be opened by a name: it is written to as it is. */
function openLog(name: string): number {
  const own = STANDARD.get(name);
  try {
    return openSync(own === undefined ? name : `/proc/self/fd/${own}`, 'a', 0o644);
  } catch (error) {
    if (own === undefined) throw error;
    return own;
  }
}

function closeLogs(files: ReadonlyMap<string, number>): void {
  const own = new Set(STANDARD.values());
  for (const fd of files.values()) if (!own.has(fd)) closeSync(fd);
}
