/** Debian's Apache with mod_md, on a configuration that Latchkey reads, too. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const MODULES = '/usr/lib/apache2/modules';
const NEEDED = ['mpm_event', 'authz_core', 'ssl', 'md'];

/** Why there can be none, or false. */
export const withoutApache = reason();

function reason(): string | false {
  if (spawnSync('apache2', ['-v']).error) return 'apache2 is not installed';
  const lacking = NEEDED.find((name) => !existsSync(join(MODULES, `mod_${name}.so`)));
  return lacking === undefined ? false : `Apache's mod_${lacking} is not installed`;
}

/** The modules it needs: Latchkey has them built in. */
export const loadModules: string = NEEDED.map(
  (name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so\n`,
).join('');

export class Apache implements AsyncDisposable {
  readonly #child;
  readonly #exited: Promise<void>;
  readonly #log: string;
  readonly #orphan = () => this.#child.kill('SIGKILL');

  /** Starts on DIR/httpd.conf, with logs/error_log. */
  constructor(dir: string) {
    mkdirSync(join(dir, 'logs'), { recursive: true });
    this.#log = join(dir, 'logs/error_log');
    this.#child = spawn('apache2', ['-d', dir, '-f', 'httpd.conf', '-DFOREGROUND'], { stdio: 'ignore' });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#child.once('error', () => resolve()).once('exit', () => resolve());
    this.#exited = promise;
    process.once('exit', this.#orphan);
  }

  /** As its `-k graceful`. */
  graceful(): void {
    this.#child.kill('SIGUSR1');
  }

  log(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#orphan);
    this.#child.kill('SIGTERM');
    await this.#exited;
  }
}
