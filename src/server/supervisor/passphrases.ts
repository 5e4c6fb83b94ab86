/**
 * Encrypted keys of static certificates: SSLPassPhraseDialog. The command runs before anything is served, as whoever
 * started the server, once for each key that no passphrase at hand opens. Passphrases stay in this process.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { explain } from '../../base/errors.ts';
import { isEncrypted, openedKey } from '../../certificates/encrypted-key.ts';
import { ConfigError } from '../../config/errors.ts';
import { title } from '../../config/host-tls.ts';
import type { CertificateFiles, Settings } from '../../config/settings.ts';

const run = promisify(execFile);

/** How long the command may take (ms), and what it may say. */
const PATIENCE = 60_000;
const MOST_OUTPUT = 4096;

export class Passphrases {
  #known: readonly Buffer[] = [];

  /** Asks for what is needed. @throws ConfigError where a key can't be opened */
  async learn(settings: Settings): Promise<void> {
    for (const host of [settings.base, ...settings.hosts]) {
      if (!host.tls.engine) continue;
      for (const [index, files] of host.tls.certificates.entries()) {
        const pem = readKey(files);
        if (!isEncrypted(pem) || this.#open(pem) !== undefined) continue;
        const passphrase = await ask(settings.passphraseCommand, `${title(host)}:${index}`, files);
        this.#known = [...this.#known, passphrase];
        if (this.#open(pem) === undefined)
          throw new ConfigError(
            `${files.keyFile}: what ${settings.passphraseCommand?.[0]} prints is not its passphrase`,
            files.at,
          );
      }
    }
  }

  /** The key as it may be used. One that can't be opened is given back as it is. */
  opened(keyPem: string): string {
    return isEncrypted(keyPem) ? (this.#open(keyPem) ?? keyPem) : keyPem;
  }

  #open(pem: string): string | undefined {
    for (const passphrase of this.#known) {
      try {
        return openedKey(pem, passphrase);
      } catch {
        // It is another key's.
      }
    }
    return undefined;
  }
}

/** What can't be read is told by whoever loads it. */
function readKey({ keyFile }: CertificateFiles): string {
  try {
    return readFileSync(keyFile, 'latin1');
  } catch {
    return '';
  }
}

async function ask(
  command: readonly string[] | undefined,
  id: string,
  { keyFile, at }: CertificateFiles,
): Promise<Buffer> {
  const [program, ...words] = command ?? [];
  if (program === undefined)
    throw new ConfigError(
      `${keyFile} is encrypted, and a server has no terminal to ask at: name a command that prints its passphrase, SSLPassPhraseDialog exec:/path/to/command`,
      at,
    );
  const limits = {
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
    maxBuffer: MOST_OUTPUT,
    encoding: 'buffer',
  } as const;
  try {
    const { stdout } = await run(program, [...words, id], limits);
    const end = stdout.indexOf('\n');
    return end < 0 ? stdout : stdout.subarray(0, end);
  } catch (error) {
    // Node's message has what the command said on stderr, but never its output.
    throw new ConfigError(`SSLPassPhraseDialog: ${program} has failed for ${keyFile}: ${explain(error)}`, at);
  }
}
