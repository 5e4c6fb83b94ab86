/** `latchkey store`: a certificate store over a folder of PEM pairs, by itself. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isLoopbackAddress } from '../base/addresses.ts';
import { tokenDigest } from '../base/bearer.ts';
import { explain, LatchkeyError } from '../base/errors.ts';
import { startStore, type StandaloneStore } from '../store-server/standalone.ts';

export interface StoreOptions {
  readonly dir: string;
  readonly listen: string;
  readonly token?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** Runs it until it is interrupted; prints each question. What options don't say, the DYNSSL_ variables do. */
export async function store(options: StoreOptions): Promise<void> {
  const [, address, port] = /^(.+):(\d{1,5})$/.exec(options.listen) ?? [];
  if (address === undefined) throw usage(`--listen '${options.listen}' is not address:port`);
  if (!statSync(options.dir, { throwIfNoEntry: false })?.isDirectory())
    throw usage(
      `--dir ${resolve(options.dir)} is not a folder: make it, or name the one with NAME.crt and NAME.key`,
    );
  const tls = tlsOf(options, process.env);
  const token = options.token ?? process.env['DYNSSL_TOKEN'] ?? '';
  const plain = address.replace(/^\[(.*)\]$/, '$1');
  if (!isLoopbackAddress(plain) && (token === '' || !tls)) {
    throw usage(
      `--listen ${options.listen} gives private keys to other machines: it needs a token (DYNSSL_TOKEN) and https (--tls-cert, --tls-key)`,
    );
  }
  const running = await startStore({
    folder: resolve(options.dir),
    address: plain,
    port: Number(port),
    tokenDigest: token === '' ? undefined : tokenDigest(token),
    tls,
    onHit: ({ method, url, status }) => say(`${method} ${JSON.stringify(url).slice(1, -1)} ${status}`),
    onProblem: say,
  });
  say(`certificates of ${resolve(options.dir)} at ${running.url}/NAME`);
  await new Promise<void>((end) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end());
  });
  await running[Symbol.asyncDispose]();
}

function tlsOf(options: StoreOptions, env: NodeJS.ProcessEnv): StandaloneStore['tls'] {
  const asked = options.tlsCert !== undefined || /^(?:1|on|true|yes)$/i.test(env['DYNSSL_USE_HTTPS'] ?? '');
  if (!asked) return undefined;
  const certFile = options.tlsCert ?? env['DYNSSL_TLS_CERT'];
  const keyFile = options.tlsKey ?? env['DYNSSL_TLS_KEY'];
  if (!certFile || !keyFile) {
    throw usage(
      'https needs a certificate and its key: --tls-cert and --tls-key, or DYNSSL_TLS_CERT and _KEY',
    );
  }
  try {
    return { cert: readFileSync(certFile, 'latin1'), key: readFileSync(keyFile, 'latin1') };
  } catch (error) {
    throw usage(`a file for https can't be read: ${explain(error)}`);
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function usage(message: string): LatchkeyError {
  return new LatchkeyError('usage', message);
}
