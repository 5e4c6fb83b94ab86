/** The handler cgi-script: what may be run, and how much at a time. */
import { basename } from 'node:path/posix';
import { explain } from '../../base/errors.ts';
import { hasOption } from '../../config/merge.ts';
import { fileAt } from '../files.ts';
import type { LiveExchange } from '../live.ts';
import { environmentFor } from './environment.ts';
import { ScriptProcess } from './process.ts';
import { hasBody, runScript } from './run.ts';
import type { Outcome } from './run.ts';

export class Scripts implements Disposable {
  readonly #running = new Set<ScriptProcess>();
  readonly #most: number;

  /** @param most how many run at a time: what clients can start must have an end */
  constructor(most = 128) {
    this.#most = most;
  }

  /** Answers by the script at `exchange.filename`. `log`: for what it says by stderr. */
  async answer(exchange: LiveExchange, log: (line: string) => void): Promise<Outcome> {
    const refusal = refusalOf(exchange);
    if (refusal) return failed(exchange, refusal.status, refusal.reason);
    if (this.#running.size >= this.#most)
      return failed(exchange, 503, `${this.#most} scripts are running already`);
    const script = start(exchange);
    if (typeof script === 'string') return failed(exchange, 500, script);
    this.#running.add(script);
    void script.exited.then(() => this.#running.delete(script));
    return runScript(exchange, script, (line) => log(`AH01215: ${line}: ${exchange.filename}`));
  }

  /** Ends all at once. */
  [Symbol.dispose](): void {
    for (const script of this.#running) script.kill();
  }
}

async function failed(exchange: LiveExchange, status: number, reason: string): Promise<Outcome> {
  await exchange.fail(status, reason);
  return { kind: 'answered' };
}

function refusalOf(exchange: LiveExchange): { readonly status: number; readonly reason: string } | undefined {
  const { filename, directory, alias } = exchange;
  if (filename === undefined) return { status: 404, reason: `Nothing is at ${exchange.path}` };
  if (!alias?.script && hasOption(directory.options, 'ExecCGI') !== true) {
    return { status: 403, reason: `AH02809: Options ExecCGI is off in this directory: ${filename}` };
  }
  if (basename(filename).startsWith('nph-')) {
    return {
      status: 500,
      reason: `scripts that write the whole answer (nph-) are not supported: ${filename}`,
    };
  }
  const found = fileAt(exchange, filename);
  if ('kind' in found) return found.kind === 'error' ? found : undefined;
  if (found.isDirectory())
    return { status: 403, reason: `AH02810: attempt to invoke directory as script: ${filename}` };
  if (!found.isFile()) return { status: 403, reason: `Not a regular file: ${filename}` };
  return undefined;
}

function start(exchange: LiveExchange): ScriptProcess | string {
  const filename = exchange.filename ?? '';
  try {
    return new ScriptProcess(filename, environmentFor(exchange, hasBody(exchange)), exchange.clock);
  } catch (error) {
    return `AH01241: exec of '${filename}' failed: ${explain(error)}`;
  }
}
