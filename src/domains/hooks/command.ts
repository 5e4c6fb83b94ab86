/** Commands of the administrator's: run directly, without a shell, by the user and with the environment we have. */
import { type ChildProcess, spawn } from 'node:child_process';
import { explain } from '../../base/errors.ts';
import type { Abortable } from '../../store/store.ts';

/** Characters of its output that a failure tells: the last ones, where the reason usually stands. */
const TOLD = 1000;

export interface CommandOptions extends Abortable {
  /** ms that it may take before it is killed; default one minute. */
  readonly limit?: number | undefined;
}

/**
 * Fulfilled once the command has ended: with undefined for exit code 0, else with what went wrong, in words that
 * follow its name (`ended with exit code 1: no such zone`). It is killed, with all that it has started, when it
 * takes too long and when aborted; then rejects with the signal's reason.
 */
export function runCommand(
  [file = '', ...args]: readonly string[],
  { limit = 60_000, signal }: CommandOptions = {},
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    // In a process group of its own, which can be killed as a whole. Out of descriptors, it has no streams.
    const child: ChildProcess = spawn(file, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    child.once('error', (error) => end(`could not be run: ${explain(error)}`));
    const streams = [child.stdout, child.stderr];
    const output = new Tail();
    for (const stream of streams) {
      stream?.setEncoding('utf8').on('data', (text: string) => output.add(text));
    }
    const release = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      // What still runs in the background may have them open.
      for (const stream of streams) stream?.destroy();
    };
    const end = (failure: string | undefined) => {
      release();
      resolve(failure);
    };
    const abort = () => {
      killGroup(child.pid);
      release();
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      killGroup(child.pid);
      end(`did not end within ${limit / 1000} s and was killed${output.told()}`);
    }, limit);
    signal?.addEventListener('abort', abort, { once: true });
    child.once('exit', (code) => {
      if (code === 0) end(undefined);
    });
    // Later than `exit`: all that it said is there.
    child.once('close', (code, killedBy) => {
      end(`ended with ${killedBy ?? `exit code ${code}`}${output.told()}`);
    });
  });
}

/** The last characters of an output of any length. */
class Tail {
  #text = '';

  add(text: string): void {
    this.#text = (this.#text + text).slice(-TOLD - 1);
  }

  /** On one line, with a colon before it; empty if there is nothing. */
  told(): string {
    const cut = this.#text.length > TOLD ? '…' : '';
    const line = this.#text
      .slice(-TOLD)
      .replaceAll(/[\p{Cc}\s]+/gu, ' ')
      .trim();
    return line === '' ? '' : `: ${cut}${line}`;
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended, or it has made itself another user's.
  }
}
