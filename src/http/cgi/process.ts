/** A script's process: a group of its own, so that what it started ends along with it. */
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { basename } from 'node:path/posix';
import type { Clock } from '../../base/clock.ts';
import { systemCode } from '../../base/errors.ts';
import { folderOf } from './environment.ts';

/** Between being asked to end and being ended, and of one that closed its output before it is asked (ms; httpd: 3 s). */
const GRACE = 3000;
/** Bytes of stderr that are logged for one request, and of one line. */
const MOST_ERRORS = 65_536;
const LONGEST_LINE = 8192;

export class ScriptProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #clock: Clock;
  readonly #exited = Promise.withResolvers<void>();
  #stopping = false;

  /** Throws what the system says where it can't be started; what it says only later comes as `error` of the child. */
  constructor(filename: string, env: Record<string, string>, clock: Clock) {
    this.#clock = clock;
    this.child = spawn(filename, [], {
      argv0: basename(filename),
      cwd: folderOf(filename),
      env,
      detached: true,
      stdio: 'pipe',
    });
    this.child.once('exit', () => {
      // While the number can't be another's yet: its process has only just been waited for.
      if (this.#stopping) this.#signal('SIGKILL');
      this.#exited.resolve();
    });
    this.child.once('error', () => this.#exited.resolve());
    // A script may end without reading.
    this.child.stdin.on('error', () => {});
  }

  /** Fulfilled when the process has ended, or could not be started. */
  get exited(): Promise<void> {
    return this.#exited.promise;
  }

  /** Its output is complete: it has a while to end by itself. What it left running on purpose stays. */
  async finish(): Promise<void> {
    if (!(await this.#endsWithin(GRACE))) await this.stop();
  }

  /** Ends it and all that it started: asks, and after a while insists. */
  async stop(): Promise<void> {
    if (this.#stopping || this.#hasExited) return;
    this.#stopping = true;
    this.child.stdout.destroy();
    this.child.stderr.destroy();
    this.#signal('SIGTERM');
    if (!(await this.#endsWithin(GRACE))) this.#signal('SIGKILL');
  }

  kill(): void {
    if (!this.#hasExited) this.#signal('SIGKILL');
  }

  /** Hands over what comes by stderr, line by line and bounded; the rest is read and forgotten. */
  onErrors(log: (line: string) => void): void {
    let [left, line] = [MOST_ERRORS, ''];
    const flush = () => {
      if (line !== '') log(line);
      line = '';
    };
    const { stderr } = this.child;
    stderr.setEncoding('utf8').on('data', (chunk: string) => {
      if (left <= 0) return;
      left -= chunk.length;
      const [first = '', ...more] = chunk.split('\n');
      line = (line + first).slice(0, LONGEST_LINE);
      for (const next of more) {
        flush();
        line = next.slice(0, LONGEST_LINE);
      }
      if (left > 0) return;
      flush();
      log('what more it says by stderr is not logged');
    });
    stderr.on('error', () => {}).on('end', flush);
  }

  get #hasExited(): boolean {
    return this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const waiting = new AbortController();
    const late = this.#clock.sleep(ms, { signal: waiting.signal }).then(
      () => false,
      () => false,
    );
    const ended = await Promise.race([this.exited.then(() => true), late]);
    waiting.abort();
    return ended;
  }

  #signal(name: NodeJS.Signals): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, name);
    } catch (error) {
      // It has ended, or it has made itself another user's.
      if (!['ESRCH', 'EPERM'].includes(systemCode(error) ?? '')) throw error;
    }
  }
}
