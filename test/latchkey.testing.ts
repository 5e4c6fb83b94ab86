/** A Latchkey as a user runs it: the real command line, a folder of its own, stopped and removed afterwards. */
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';

export { freePorts } from '../src/base/ports.testing.ts';

export const binary: string = fileURLToPath(new URL('../bin/latchkey', import.meta.url));

/** In the environment of all processes of a TestServer. */
const MARK = 'LATCHKEY_TEST_SERVER';

// A test run that is told to end does so by 'exit', where servers end along with it.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(1));

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class TestServer implements AsyncDisposable {
  /** Its ServerRoot. */
  readonly dir: string;
  readonly #orphans = () => this.kill();

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'latchkey-'));
    // User and Group of the configuration have to get through.
    chmodSync(this.dir, 0o755);
    process.once('exit', this.#orphans);
  }

  /** Writes a file under the ServerRoot. */
  write(path: string, content: string): string {
    const file = join(this.dir, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  read(path: string): string {
    return readFileSync(join(this.dir, path), 'utf8');
  }

  /** Writes httpd.conf. */
  configure(text: string): void {
    this.write('httpd.conf', text);
  }

  /** `latchkey -d DIR -f httpd.conf ARGS…` */
  run(...args: string[]): Promise<Outcome> {
    return this.latchkey('-d', this.dir, '-f', 'httpd.conf', ...args);
  }

  /** `latchkey ARGS…`, whose processes processes() will find, as those of run(). */
  latchkey(...args: string[]): Promise<Outcome> {
    return run(binary, args, { env: this.env });
  }

  /** What to start a server with by other ways than run(): processes() finds it by that. */
  get env(): NodeJS.ProcessEnv {
    return { ...process.env, [MARK]: this.dir };
  }

  /** Pids of all that live and were started by run(), whoever their parent is by now. */
  processes(): number[] {
    return allPids().filter((pid) => environment(pid).includes(`${MARK}=${this.dir}`));
  }

  /** Starts it, failing the test with what it said if it doesn't start. */
  async start(): Promise<void> {
    const { code, stderr } = await this.run('-k', 'start');
    if (code !== 0) throw new Error(`latchkey did not start: ${stderr}\n${this.log()}`);
  }

  async stop(): Promise<void> {
    await this.run('-k', 'stop');
  }

  get pid(): number {
    return Number(this.read('logs/httpd.pid').split('\n')[0]);
  }

  /** Pids of the supervisor's children by kind. */
  children(): { engine: number[]; workers: number[] } {
    const all = childPids(this.pid).map((pid) => [pid, commandLine(pid)] as const);
    return {
      engine: all.filter(([, line]) => line.includes('/engine/main.')).map(([pid]) => pid),
      workers: all.filter(([, line]) => line.includes('/worker/main.')).map(([pid]) => pid),
    };
  }

  /** Does `work` once for each worker, while the others stand still: whatever connects meets that one. */
  async inEachWorker(work: () => Promise<void>): Promise<void> {
    const { workers } = this.children();
    for (const chosen of workers) {
      const others = workers.filter((pid) => pid !== chosen);
      for (const pid of others) signal(pid, 'SIGSTOP');
      try {
        await work();
      } finally {
        for (const pid of others) signal(pid, 'SIGCONT');
      }
    }
  }

  log(): string {
    return existsSync(join(this.dir, 'logs/error_log')) ? this.read('logs/error_log') : '(no log)';
  }

  async status(): Promise<StatusDocument> {
    const { stdout, stderr, code } = await this.run('status', '--json');
    if (code !== 0) throw new Error(`no status: ${stderr}`);
    return JSON.parse(stdout) as StatusDocument;
  }

  /** Ends what runs without a word: nothing outlives a test, whatever came of it. */
  kill(): void {
    for (const pid of this.processes()) signal(pid, 'SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const runtimeDir = this.runtimeDir();
    await this.stop();
    this.kill();
    process.off('exit', this.#orphans);
    if (runtimeDir) rmSync(runtimeDir, { recursive: true, force: true });
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Where the certificate table is: in memory, outside of the ServerRoot. Undefined where no server runs. */
  runtimeDir(): string | undefined {
    const file = join(this.dir, 'logs/httpd.pid.control');
    return existsSync(file) ? dirname(readFileSync(file, 'utf8').trim()) : undefined;
  }
}

/** The parts of the status document that tests look at. */
export interface StatusDocument {
  /** ms since the epoch. */
  readonly now: number;
  readonly domains: readonly {
    readonly name: string;
    readonly state: string;
    /** ms since the epoch. */
    readonly nextRun?: number;
    /** Failures in a row. */
    readonly errors: number;
    /** Why the last renewal failed. */
    readonly problem?: { readonly type: string; readonly detail: string };
    readonly certificates: readonly { readonly serial: string; readonly keyType: string }[];
  }[];
}

export function run(
  command: string,
  args: readonly string[],
  options: { input?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(
      command,
      args,
      { encoding: 'utf8', timeout: 120_000, maxBuffer: 64 * 1024 * 1024, env: options.env ?? process.env },
      (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : 255) : 0;
        resolve({ code, stdout, stderr });
      },
    );
    // A program that ends without reading is no fault of the test.
    child.stdin?.on('error', () => {}).end(options.input ?? '');
  });
}

/** Waits for something another process does; the failure says what was waited for. */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  seconds = 60,
): Promise<Exclude<NonNullable<T>, false>> {
  const end = performance.now() + seconds * 1000;
  let last: unknown;
  while (performance.now() < end) {
    try {
      const value = await probe();
      if (value) return value as Exclude<NonNullable<T>, false>;
    } catch (error) {
      last = error;
    }
    await delay(50);
  }
  throw new Error(`waited ${seconds} s in vain for ${what}`, { cause: last });
}

/** Why a test that needs `commands` can't run here, or undefined. */
export function missing(...commands: string[]): string | undefined {
  const path = (process.env['PATH'] ?? '').split(':').concat('/usr/sbin', '/sbin');
  const absent = commands.filter((command) => !path.some((dir) => existsSync(join(dir, command))));
  return absent.length > 0 ? `${absent.join(', ')} not installed` : undefined;
}

/** A self-signed pair for `name`, made by the openssl command. */
export function selfSigned(
  dir: string,
  name: string,
  kind: 'ec' | 'rsa' = 'ec',
): { cert: string; key: string } {
  const cert = join(dir, `${name}.${kind}.crt`);
  const key = join(dir, `${name}.${kind}.key`);
  const algorithm =
    kind === 'ec' ? ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['-newkey', 'rsa:2048'];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  execFileSync(
    'openssl',
    ['req', '-x509', '-nodes', '-days', '30', ...algorithm, '-keyout', key, '-out', cert, ...subject],
    {
      stdio: 'ignore',
    },
  );
  return { cert, key };
}

/** Sends a signal; to a process that is gone, none. */
export function signal(pid: number, name: NodeJS.Signals): void {
  // Nobody would have been found; and 0 is whoever runs the tests.
  if (pid <= 0) throw new Error(`there is no process to send ${name} to`);
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

function allPids(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

function childPids(parent: number): number[] {
  return allPids().filter((pid) => parentOf(pid) === parent);
}

/** A zombie has none. */
function environment(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
