/** Revoking in a CA's folder, whether or not a CA runs there at that moment. */
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { LatchkeyError, explain, systemCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { Certificate } from '../pki/certificate.ts';
import { canonicalName } from '../pki/names.ts';
import { Certificates } from './certificates.ts';
import type { IssuedCertificate } from './certificates.ts';
import { CaError } from './errors.ts';
import { Revocations } from './revocations.ts';
import type { RevocationReason } from './revocations.ts';

export interface RevokeOptions {
  readonly reason: RevocationReason;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Revoked {
  readonly serial: string;
  readonly names: readonly string[];
  /** Nothing was changed: it had been revoked earlier. */
  readonly earlier: boolean;
}

/**
 * Revokes what the CA in `dir` issued, and that is still valid: the certificate of a serial number (hex), that of a
 * file (PEM or DER), or all with a name. Rejects with CaError: `ca-missing` (no CA there), `ca-unknown` (no such
 * certificate), `ca-io`; with PkiError where a file holds no certificate.
 */
export async function revokeIn(dir: string, what: string, options: RevokeOptions): Promise<Revoked[]> {
  const { clock, logger, reason } = options;
  try {
    const certificates = await attach(dir, logger);
    const revocations = await Revocations.open(join(dir, 'acme', 'revoked'), logger);
    const found = await find(certificates, what, clock.now());
    if (found.length === 0) throw unknown(dir, what);
    const done: Revoked[] = [];
    for (const { serial, notAfter, chainPem } of found) {
      const first = await revocations.add({ serial, at: clock.now(), reason, notAfter });
      done.push({ serial, names: new Certificate(chainPem).names, earlier: !first });
    }
    return done;
  } catch (cause) {
    if (systemCode(cause) === undefined || cause instanceof LatchkeyError) throw cause;
    const remedy =
      'revoke as the owner of that folder or as root; a certificate file has to be readable for the owner';
    throw new CaError(
      'ca-io',
      `the certificates of ${dir} can't be read or revoked: ${explain(cause)}; ${remedy}`,
      { cause },
    );
  }
}

function unknown(dir: string, what: string): CaError {
  return new CaError(
    'ca-unknown',
    `${what} is neither the serial number, nor the file, nor a name of a valid certificate that the CA in ${dir} issued`,
  );
}

async function attach(dir: string, logger: Logger): Promise<Certificates> {
  const folder = join(dir, 'acme', 'certificates');
  if (await isThere(folder)) return Certificates.attach(folder, logger);
  throw new CaError('ca-missing', `there is no local CA in ${dir} yet: it is made when it first starts`);
}

async function find(certificates: Certificates, what: string, now: number): Promise<IssuedCertificate[]> {
  const bySerial = await certificates.get(what.replaceAll(':', '').toUpperCase());
  if (bySerial) return [bySerial];
  if (await isThere(what)) return fromFile(certificates, what);
  const name = canonicalName(what);
  const found: IssuedCertificate[] = [];
  for await (const one of certificates.all()) {
    if (one.notAfter > now && new Certificate(one.chainPem).names.includes(name)) found.push(one);
  }
  return found;
}

/** Rejects with PkiError `certificate-unreadable`. */
async function fromFile(certificates: Certificates, file: string): Promise<IssuedCertificate[]> {
  const leaf = new Certificate(await readFile(file));
  const known = await certificates.get(leaf.serial);
  return known && new Certificate(known.chainPem).sha256 === leaf.sha256 ? [known] : [];
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
