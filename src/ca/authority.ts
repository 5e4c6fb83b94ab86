/**
 * The authority itself: a root that is made once and kept, an intermediate below it that is renewed, and the
 * certificates the intermediate signs. Files of the CA's folder:
 *
 * - `root.pem`, `root-key.pem`: P-384, ten years. Never made anew over anything that was there: somebody trusts it.
 * - `intermediate.pem`, `intermediate-key.pem`: P-256, a year (or twice a leaf's lifetime), renewed when a
 *   third is left or when missing.
 *
 * Keys have mode 0600. Two processes may open one folder at the same time: both get the same root.
 */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { createDurable, writeDurable } from '../base/durable.ts';
import { explain, systemCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { commonName } from '../pki/extensions.ts';
import { CaError } from './errors.ts';
import type { Identifier } from './identifiers.ts';
import { buildIntermediate, buildLeaf, buildResponder, buildRoot, subjectOf } from './x509.ts';
import type { Period, RevocationUrls, Signer } from './x509.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;
const ROOT_LIFETIME = 3650 * DAY;
const INTERMEDIATE_LIFETIME = 365 * DAY;
/** For clients whose clock is behind. */
const CA_BACKDATING = HOUR;
const LEAF_BACKDATING = 60 * SECOND;

export interface Issued extends Period {
  /** Upper-case hex. */
  readonly serial: string;
  /** PEM of the certificate and the intermediate. */
  readonly chainPem: string;
}

export interface AuthorityOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Lifetime of the certificates it will issue, ms: the intermediate outlives them. */
  readonly lifetime: number;
}

export interface IssueOptions {
  /** ms, rounded up to seconds; default: the authority's. */
  readonly lifetime?: number;
  /** Default: the certificate names no place to ask. */
  readonly revocation?: RevocationUrls | undefined;
  readonly mustStaple?: boolean;
}

/**
 * Opens the authority of a folder, making what is missing on first use. Rejects with CaError: `ca-garbage` and
 * `ca-missing` name the file and the remedy, `ca-expired` says the root has ended, `ca-io` what the system says.
 */
export async function openAuthority(dir: string, options: AuthorityOptions): Promise<Authority> {
  try {
    await mkdir(dir, { recursive: true });
    const root = await openRoot(dir, options);
    return new Authority(dir, options, root, await openIntermediate(dir, options, root));
  } catch (error) {
    throw systemCode(error) === undefined || error instanceof CaError ? error : ioError(dir, error);
  }
}

export class Authority {
  readonly #dir: string;
  readonly #options: AuthorityOptions;
  readonly #root: Signer;
  #intermediate: Signer;
  #renewing: Promise<void> | undefined;

  constructor(dir: string, options: AuthorityOptions, root: Signer, intermediate: Signer) {
    this.#dir = dir;
    this.#options = options;
    this.#root = root;
    this.#intermediate = intermediate;
  }

  /** Of the certificates it issues, ms. */
  get lifetime(): number {
    return this.#options.lifetime;
  }

  get rootPem(): string {
    return this.#root.certificate.toString();
  }

  /** The intermediate: what signs certificates, their revocation list, and OCSP responders. */
  async issuer(): Promise<Signer> {
    await this.#freshIntermediate();
    return this.#intermediate;
  }

  /**
   * Signs a certificate for exactly `identifiers` (which somebody validated) and the public key `spki` (DER).
   * It is good from now for its lifetime, though never longer than its issuer, and a little before now: at most
   * a minute, and a tenth of the lifetime.
   */
  async issue(
    identifiers: readonly Identifier[],
    spki: Buffer,
    { lifetime = this.#options.lifetime, revocation, mustStaple = false }: IssueOptions = {},
  ): Promise<Issued> {
    const issuer = await this.issuer();
    const period = leafPeriod(this.#options.clock.now(), lifetime, issuer);
    const leaf = await buildLeaf({ identifiers, spki, period, revocation, mustStaple }, issuer);
    return {
      ...periodOf(leaf),
      serial: leaf.serialNumber,
      chainPem: leaf.toString() + issuer.certificate.toString(),
    };
  }

  /** A certificate for a key that signs OCSP responses; `lifetime` in ms. */
  async delegate(key: KeyObject, lifetime: number): Promise<X509Certificate> {
    const issuer = await this.issuer();
    return buildResponder(
      'Latchkey Local CA OCSP responder',
      key,
      issuer,
      leafPeriod(this.#options.clock.now(), lifetime, issuer),
    );
  }

  async #freshIntermediate(): Promise<void> {
    if (!isDue(this.#intermediate.certificate, this.#root.certificate, this.#options)) return;
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    await this.#renewing;
  }

  async #renew(): Promise<void> {
    this.#intermediate = await renewIntermediate(this.#dir, this.#options, this.#root, this.#intermediate);
  }
}

function leafPeriod(now: number, lifetime: number, issuer: Signer): Period {
  const limit = periodOf(issuer.certificate);
  const notBefore = floor(now - Math.min(LEAF_BACKDATING, lifetime / 10));
  const notAfter = Math.ceil((now + lifetime) / SECOND) * SECOND;
  return {
    notBefore: Math.max(notBefore, limit.notBefore),
    notAfter: Math.min(notAfter, limit.notAfter),
  };
}

// ---- root

async function openRoot(dir: string, { clock, logger }: AuthorityOptions): Promise<Signer> {
  if (!(await exists(dir, 'root.pem'))) await makeRoot(dir, clock, logger);
  const root = await loadPair(dir, 'root');
  const { notBefore, notAfter } = periodOf(root.certificate);
  if (!root.certificate.verify(root.certificate.publicKey)) {
    throw garbage(dir, 'root.pem', 'is not signed by itself');
  }
  if (clock.now() < notBefore || clock.now() >= notAfter) {
    const when = `it is valid from ${date(notBefore)} to ${date(notAfter)}, and now it is ${date(clock.now())}`;
    throw new CaError(
      'ca-expired',
      `${join(dir, 'root.pem')}: ${when}. Correct the clock; or move the folder away, start again, and have the new root trusted`,
    );
  }
  return root;
}

/**
 * The key is written first, so a folder with nothing but a root key is a beginning that was cut short. Anything
 * more without root.pem once had one, which somebody trusts: no other is made in its place.
 */
async function makeRoot(dir: string, clock: Clock, logger: Logger): Promise<void> {
  const remains = ['intermediate.pem', 'intermediate-key.pem', 'acme'];
  for (const name of remains) {
    if (await exists(dir, name)) throw missing(dir, 'root.pem', name);
  }
  const made = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey;
  await createDurable(join(dir, 'root-key.pem'), keyPem(made), { mode: 0o600 });
  const key = await loadKey(dir, 'root-key.pem');
  const now = clock.now();
  const period = { notBefore: floor(now - CA_BACKDATING), notAfter: floor(now + ROOT_LIFETIME) };
  const root = await buildRoot(nameOf('root', now), key, period);
  if (await createDurable(join(dir, 'root.pem'), root.toString())) {
    logger.notice(
      `made the root of the local CA, ${join(dir, 'root.pem')}, valid to ${date(period.notAfter)}`,
    );
  }
}

// ---- intermediate

async function openIntermediate(dir: string, options: AuthorityOptions, root: Signer): Promise<Signer> {
  if (!(await exists(dir, 'intermediate-key.pem'))) {
    // Without its key the certificate is of no use; and a new key beside the old certificate would look broken.
    await rm(join(dir, 'intermediate.pem'), { force: true });
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    await createDurable(join(dir, 'intermediate-key.pem'), keyPem(privateKey), { mode: 0o600 });
  }
  if (!(await exists(dir, 'intermediate.pem'))) {
    const key = await loadKey(dir, 'intermediate-key.pem');
    return renewIntermediate(dir, options, root, { key });
  }
  const intermediate = await loadPair(dir, 'intermediate');
  if (!isIssuedBy(intermediate.certificate, root.certificate)) {
    throw garbage(dir, 'intermediate.pem', 'is not signed by root.pem', 'remove it to have a new one made');
  }
  if (!isDue(intermediate.certificate, root.certificate, options)) return intermediate;
  return renewIntermediate(dir, options, root, intermediate);
}

/** Key and name stay, so that lists and responses of the new one speak for what the old one issued. */
async function renewIntermediate(
  dir: string,
  { clock, lifetime, logger }: AuthorityOptions,
  root: Signer,
  { key, certificate: old }: { readonly key: KeyObject; readonly certificate?: X509Certificate },
): Promise<Signer> {
  const now = clock.now();
  const limit = periodOf(root.certificate);
  const period = {
    notBefore: Math.max(floor(now - CA_BACKDATING), limit.notBefore),
    notAfter: Math.min(floor(now + Math.max(INTERMEDIATE_LIFETIME, 2 * lifetime)), limit.notAfter),
  };
  const subject = old ? subjectOf(old) : commonName(nameOf('intermediate', now));
  const certificate = await buildIntermediate(subject, key, root, period);
  await writeDurable(join(dir, 'intermediate.pem'), certificate.toString());
  logger.info(`made an intermediate of the local CA, valid to ${date(period.notAfter)}`);
  return { certificate, key };
}

function isDue(intermediate: X509Certificate, root: X509Certificate, options: AuthorityOptions): boolean {
  const own = periodOf(intermediate);
  // One that ends with its root can't be had longer.
  if (own.notAfter >= periodOf(root).notAfter) return false;
  const left = own.notAfter - options.clock.now();
  return left < Math.max(options.lifetime, (own.notAfter - own.notBefore) / 3);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

// ---- files

async function loadPair(dir: string, name: 'root' | 'intermediate'): Promise<Signer> {
  const certificate = await loadCertificate(dir, `${name}.pem`);
  const key = await loadKey(dir, `${name}-key.pem`);
  if (!certificate.ca) throw garbage(dir, `${name}.pem`, 'is not a CA certificate');
  if (certificate.checkPrivateKey(key)) return { certificate, key };
  throw garbage(dir, `${name}-key.pem`, `is not the key of ${name}.pem`);
}

async function loadCertificate(dir: string, name: string): Promise<X509Certificate> {
  const pem = await load(dir, name);
  try {
    return new X509Certificate(pem);
  } catch {
    throw garbage(dir, name, 'does not hold a certificate in PEM');
  }
}

async function loadKey(dir: string, name: string): Promise<KeyObject> {
  const pem = await load(dir, name);
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw garbage(dir, name, 'does not hold a private key in PEM');
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve === 'prime256v1' || curve === 'secp384r1') return key;
  throw garbage(dir, name, 'does not hold an EC key on P-256 or P-384');
}

async function load(dir: string, name: string): Promise<string> {
  try {
    return await readFile(join(dir, name), 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw missing(dir, name);
    throw error;
  }
}

async function exists(dir: string, name: string): Promise<boolean> {
  return (await readdir(dir)).includes(name);
}

function garbage(dir: string, name: string, what: string, remedy = restore): CaError {
  return new CaError('ca-garbage', `${join(dir, name)} ${what}: ${remedy}`);
}

function missing(dir: string, name: string, other?: string): CaError {
  const beside = other ? ` though ${other} is there` : '';
  return new CaError('ca-missing', `${join(dir, name)} is missing${beside}: ${restore}`);
}

const restore =
  'restore it from a backup; or move the folder away, start again, and have the new root trusted';

function ioError(dir: string, cause: unknown): CaError {
  return new CaError('ca-io', `the local CA's folder ${dir} can't be used: ${explain(cause)}`, { cause });
}

function keyPem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

// ---- small things

function nameOf(role: 'root' | 'intermediate', now: number): string {
  const year = new Date(now).getUTCFullYear();
  const room = 64 - `Latchkey Local CA ${role} () ${year}`.length;
  const host = hostname()
    .replace(/[^\w.-]/g, '')
    .slice(0, room);
  return `Latchkey Local CA ${role} (${host}) ${year}`;
}

function periodOf(certificate: X509Certificate): Period {
  return { notBefore: certificate.validFromDate.getTime(), notAfter: certificate.validToDate.getTime() };
}

function floor(time: number): number {
  return Math.floor(time / SECOND) * SECOND;
}

function date(time: number): string {
  return new Date(time).toISOString();
}
