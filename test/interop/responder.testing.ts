/** `openssl ocsp` as a responder: the CA's index is a file, and it signs as it is told. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyToPem } from '../../src/pki/keys.ts';
import { type Issued, ocspSigning, type OcspTestCa } from '../../src/pki/ocsp.testing.ts';
import { eventually } from '../latchkey.testing.ts';

export class OpensslResponder implements AsyncDisposable {
  readonly #child;
  #said = '';
  readonly #orphan = () => this.#child.kill('SIGKILL');

  /** On a port of 127.0.0.1; answers for `issued` with a delegated certificate, for two days. */
  static async start(
    dir: string,
    port: number,
    ca: OcspTestCa,
    issued: readonly Issued[],
  ): Promise<OpensslResponder> {
    const { certificate, key } = await ca.issue({ names: ['responder'], usages: [ocspSigning] });
    return OpensslResponder.signing(dir, port, {
      ca: ca.certificate.pem,
      signer: certificate.pem,
      key: keyToPem(key),
      serials: issued.map(({ certificate: { serial } }) => serial),
    });
  }

  /** Likewise, with any `signer`: PEM of the certificates and of the signer's key. */
  static async signing(
    dir: string,
    port: number,
    { ca, signer, key, serials }: { ca: string; signer: string; key: string; serials: readonly string[] },
  ): Promise<OpensslResponder> {
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'ca.pem'), ca);
    writeFileSync(join(dir, 'signer.pem'), signer);
    writeFileSync(join(dir, 'signer.key'), key);
    // Subjects in the index must be unique.
    const lines = serials.map((serial) => `V\t361122060000Z\t\t${serial}\tunknown\t/CN=${serial}\n`);
    writeFileSync(join(dir, 'index.txt'), lines.join(''));
    const responder = new OpensslResponder(dir, port);
    await eventually('openssl ocsp to listen', () => responder.#said.includes('waiting'));
    return responder;
  }

  private constructor(dir: string, port: number) {
    const index = ['-index', 'index.txt', '-CA', 'ca.pem', '-ignore_err'];
    const signer = ['-rsigner', 'signer.pem', '-rkey', 'signer.key', '-ndays', '2'];
    const args = ['ocsp', '-port', String(port), ...index, ...signer];
    this.#child = spawn('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
    }
    process.once('exit', this.#orphan);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#orphan);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
