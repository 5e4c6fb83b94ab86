/**
 * The embedded CA as a server: ACME over HTTPS, with a certificate it issued to itself, and what was revoked over HTTP.
 *
 * @example
 * await using ca = await startLocalCa(settings, { clock: systemClock, loggers: silent });
 * await fetch(ca.directoryUrl); // with ca.rootPem as trust anchor
 */
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { explain } from '../base/errors.ts';
import type { Logger, Loggers } from '../base/log.ts';
import { Accounts } from './acme/accounts.ts';
import { acmeApp } from './acme/app.ts';
import type { Services } from './acme/handlers.ts';
import { Nonces } from './acme/nonces.ts';
import { Orders } from './acme/orders.ts';
import { Validator } from './acme/validator.ts';
import { Urls } from './acme/views.ts';
import { openAuthority } from './authority.ts';
import type { Authority } from './authority.ts';
import { Certificates } from './certificates.ts';
import { RevocationList } from './crl.ts';
import { externalAccount, loadExternalAccount } from './external.ts';
import type { Identifier } from './identifiers.ts';
import { CaListener } from './listener.ts';
import type { Apps, OwnCertificate } from './listener.ts';
import { Responder } from './responder.ts';
import { revocationApp } from './revocation-app.ts';
import { Revocations } from './revocations.ts';
import type { LocalCaSettings } from './settings.ts';
import { endpoint } from './validation/failure.ts';
import { nameResolver } from './validation/resolve.ts';
import type { NameResolver } from './validation/resolve.ts';

export interface LocalCa extends AsyncDisposable {
  readonly directoryUrl: string;
  /** The trust anchor of the directory and of all it issues. */
  readonly rootPem: string;
  /** Stops listening, validating and writing; fulfilled when all has ended. */
  close(): Promise<void>;
}

export interface LocalCaOptions {
  readonly clock: Clock;
  /** It logs as module `ca`. */
  readonly loggers: Loggers;
  /** Closes it when aborted. */
  readonly signal?: AbortSignal | undefined;
}

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
/** Of its own certificate; renewed when a third is left. */
const OWN_LIFETIME = 30 * DAY;

/**
 * Opens the CA of `settings.dir` (made on first use) and serves it. Port 0 takes any free one. One process at a
 * time may serve a folder. Rejects with CaError: `ca-listen` for the address, else as openAuthority() says.
 */
export async function startLocalCa(settings: LocalCaSettings, options: LocalCaOptions): Promise<LocalCa> {
  options.signal?.throwIfAborted();
  const { clock } = options;
  const logger = options.loggers('ca');
  const resolver = nameResolver(settings.resolver);
  const authority = await openAuthority(settings.dir, { clock, logger, lifetime: settings.lifetime });
  const apps = Promise.withResolvers<Apps>();
  apps.promise.catch(() => {});
  const listener = new CaListener(await ownCertificate(authority, settings.address), apps.promise);
  const port = await listener.listen(settings.address, settings.port);
  const stop = new AbortController();
  try {
    // Only who has the port touches the state: a second process ends before.
    const urls = new Urls(`https://${endpoint(settings.address, port)}`);
    const parts = { settings, urls, authority, resolver, clock, logger, signal: stop.signal };
    const services = await openServices(parts);
    const responder = new Responder(services);
    const revocationList = new RevocationList(services);
    const plain = revocationApp({ responder, revocationList, logger });
    apps.resolve({ secure: acmeApp(services, new Nonces()), plain });
    keepGoing(services, listener, settings, stop.signal);
    logger.notice(`the local CA answers at ${urls.directory}`);
    return handle(listener, services, stop, options.signal);
  } catch (error) {
    apps.reject(error);
    listener.closeNow();
    throw error;
  }
}

function handle(
  listener: CaListener,
  services: Services,
  stop: AbortController,
  signal?: AbortSignal,
): LocalCa {
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= end(listener, services, stop));
  const abort = () => void close();
  signal?.addEventListener('abort', abort, { once: true });
  stop.signal.addEventListener('abort', () => signal?.removeEventListener('abort', abort));
  return {
    directoryUrl: services.urls.directory,
    rootPem: services.authority.rootPem,
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function end(listener: CaListener, { validator }: Services, stop: AbortController): Promise<void> {
  stop.abort();
  await listener.close();
  await validator.idle();
}

interface Parts {
  readonly settings: LocalCaSettings;
  readonly urls: Urls;
  readonly authority: Authority;
  readonly resolver: NameResolver;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

async function openServices({ settings, resolver, signal, ...parts }: Parts): Promise<Services> {
  const { clock, logger } = parts;
  const { dir, externalAccountRequired } = settings;
  const state = join(dir, 'acme');
  const accounts = await Accounts.open(join(state, 'accounts'), clock, logger);
  const orders = await Orders.open(join(state, 'orders'), clock, logger);
  const certificates = await Certificates.open(join(state, 'certificates'), logger);
  const revocations = await Revocations.open(join(state, 'revoked'), logger);
  const ports = { http: settings.httpPort, https: settings.tlsPort };
  const validator = new Validator({ accounts, orders, resolver, ports, clock, logger, signal });
  return {
    ...parts,
    accounts,
    orders,
    certificates,
    revocations,
    validator,
    externalAccountRequired,
    externalAccount: externalAccountRequired ? await externalAccount(dir) : await loadExternalAccount(dir),
    finalizing: new Set(),
  };
}

/** What goes on without being asked. */
function keepGoing(
  services: Services,
  listener: CaListener,
  settings: LocalCaSettings,
  signal: AbortSignal,
): void {
  const { orders, certificates, revocations, validator, authority, clock, logger } = services;
  const now = () => clock.now();
  const repeat = async (interval: number, task: () => Promise<void>) => {
    for (;;) {
      await task().catch((error: unknown) => logger.error(`housekeeping failed: ${explain(error)}`));
      await clock.sleep(interval, { signal });
    }
  };
  const renewOwn = async () => listener.setCertificate(await ownCertificate(authority, settings.address));
  const tasks = [
    validator.resume(),
    repeat(MINUTE, () => orders.sweep()),
    repeat(60 * MINUTE, () => certificates.sweep(now(), signal)),
    repeat(60 * MINUTE, () => revocations.sweep(now())),
    clock.sleep(OWN_LIFETIME / 1.5, { signal }).then(() => repeat(OWN_LIFETIME / 1.5, renewOwn)),
  ];
  for (const task of tasks) {
    task.catch((error: unknown) => {
      if (!signal.aborted) logger.error(`housekeeping ended: ${explain(error)}`);
    });
  }
}

/** For the address it listens on and for what people call this machine. Its key is never written anywhere. */
async function ownCertificate(authority: Authority, address: string): Promise<OwnCertificate> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const addresses = [...new Set(['127.0.0.1', '::1', address])];
  const names: Identifier[] = [
    { type: 'dns', value: 'localhost' },
    ...addresses.map((value) => ({ type: 'ip', value }) as const),
  ];
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const { chainPem } = await authority.issue(names, spki, { lifetime: OWN_LIFETIME });
  return { key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), cert: chainPem };
}
