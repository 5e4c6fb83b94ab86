/**
 * The command line's end of the control socket. A running server is found by its PidFile: beside it lies
 * `PIDFILE.control`, which names the socket.
 */
import { readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import * as v from 'valibot';
import { LatchkeyError, explain, systemCode } from '../base/errors.ts';
import type { StatusQuery } from '../status/document.ts';
import { writeStatusQuery } from '../status/query.ts';
import { runningServer } from './pidfile.ts';

export class ControlError extends LatchkeyError<'not-running' | 'not-permitted' | 'control'> {}

/** The file beside the PidFile that names the control socket. */
export function controlFile(pidFile: string): string {
  return `${pidFile}.control`;
}

export class ControlClient {
  readonly #socketPath: string;

  private constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Throws ControlError `not-running` where no server has this PidFile. */
  static find(pidFile: string): ControlClient {
    if (!runningServer(pidFile)) {
      throw new ControlError(
        'not-running',
        `no server is running (${pidFile}): start it (-k start), or say by -d and -f which one`,
      );
    }
    try {
      return new ControlClient(readFileSync(controlFile(pidFile), 'utf8').trim());
    } catch (error) {
      throw new ControlError('control', `cannot read ${controlFile(pidFile)}`, { cause: error });
    }
  }

  /** The status document as the server made it; see StatusQuery. */
  async status(query: StatusQuery = {}): Promise<unknown> {
    const response = await this.#send('GET', `/status?${writeStatusQuery(query)}`);
    const body = await text(response);
    if (response.statusCode !== 200) throw new ControlError('control', `the engine has no status: ${body}`);
    return JSON.parse(body);
  }

  /** What the engine finds when it looks at `name` as its CA is going to. */
  async doctor(name: string): Promise<unknown> {
    return this.#ask('POST', `/doctor/${encodeURIComponent(name)}`);
  }

  /** Renews `name` now; yields what happens, the last line has `outcome`. An engine that ends sends none. */
  async *renew(name: string): AsyncGenerator<Record<string, string>> {
    const response = await this.#send('POST', `/renew/${encodeURIComponent(name)}`);
    try {
      for await (const line of createInterface({ input: response })) {
        yield JSON.parse(line) as Record<string, string>;
      }
    } catch (error) {
      if (systemCode(error) !== 'ECONNRESET') throw error;
    }
  }

  /** All managed domains. */
  domains(): Promise<unknown> {
    return this.#ask('GET', '/domains');
  }

  /** Adds one managed domain with these names. */
  async add([name = '', ...names]: readonly string[]): Promise<void> {
    await this.#ask('PUT', `/domains/${encodeURIComponent(name)}`, JSON.stringify({ names }));
  }

  /** Removes one that was added. */
  async remove(name: string): Promise<void> {
    await this.#ask('DELETE', `/domains/${encodeURIComponent(name)}`);
  }

  /** Has its certificates looked for anew. */
  async flush(name: string): Promise<void> {
    await this.#ask('POST', `/flush/${encodeURIComponent(name)}`);
  }

  /** Throws ControlError with the server's words for what it refuses. */
  async #ask(method: string, path: string, body?: string): Promise<unknown> {
    const response = await this.#send(method, path, body);
    const answer: unknown = JSON.parse(await text(response));
    if (response.statusCode === 200) return answer;
    const { error } = v.parse(v.object({ error: v.string() }), answer);
    throw new ControlError('control', error);
  }

  async #send(method: string, path: string, body = ''): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    request({ socketPath: this.#socketPath, method, path }, resolve).on('error', reject).end(body);
    try {
      return await promise;
    } catch (error) {
      const denied = explain(error).includes('EACCES');
      throw new ControlError(
        denied ? 'not-permitted' : 'control',
        denied
          ? 'the server belongs to another user: try as root'
          : 'the engine does not answer (it may be restarting)',
        { cause: error },
      );
    }
  }
}
