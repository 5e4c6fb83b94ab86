/** `drive`: one managed domain of a store is brought to a certificate, in this process. */
import { systemClock } from '../../base/clock.ts';
import { silent } from '../../base/log.ts';
import { activateStaged } from '../../domains/stored/activate.ts';
import type { Progress } from '../../domains/issuer.ts';
import { AcmeIssuer, type AcmeIssuerOptions } from '../../domains/issuers/acme.ts';
import { Hooks, noHooks } from '../../domains/hooks/hooks.ts';
import {
  DEFAULT_CHECK_INTERVAL,
  DEFAULT_RETRY_DELAY,
  DEFAULT_RETRY_FAILOVER,
  Job,
} from '../../domains/renewal/job.ts';
import { renew } from '../../domains/renewal/renewal.ts';
import { storedDomain } from '../../domains/stored/stored.ts';
import type { Store } from '../../store/store.ts';
import { appoint } from './accounts.ts';
import { Failure } from './failure.ts';
import { find } from './registry.ts';

export interface DriveOptions {
  /** `-c`: the challenge type to use; default: what can work. */
  readonly challenge?: string | undefined;
  /** `-f`: renew what is not due, too. */
  readonly force: boolean;
  /** `-r`: forget what is staged. */
  readonly reset: boolean;
  /** `-C`: PEM file of the CA's trust anchors. */
  readonly caCertificateFile: string | undefined;
  /** Whether a server answers http-01 from this store; undefined: not known, so assumed. */
  readonly http: boolean | undefined;
  readonly newClient: AcmeIssuerOptions['newClient'];
  readonly tell: (progress: Progress) => void;
}

/** Gives what it came to, for people. @throws Failure; RenewalError with the problem */
export async function drive(store: Store, name: string, options: DriveOptions): Promise<string> {
  const { md, renew: due } = await find(store, name);
  if (md.ca.proto !== undefined && md.ca.proto !== 'ACME') {
    throw new Failure('ENOTIMPL', `Unknown CA protocol: ${md.ca.proto}`);
  }
  if (!due && !options.force) return 'complete.';
  if (md.contacts.length === 0 && md.ca.account === undefined) {
    throw new Failure(
      'EINVAL',
      `No contact information is available for ${name}: 'update ${name} contacts ADDRESS'`,
    );
  }
  if (options.reset) await store.purge('staging', name);
  if (md.ca.account !== undefined) await appoint(store, md.ca.account, name);
  const domain = storedDomain(md, options);
  await using issuer = new AcmeIssuer({ store, clock: systemClock, newClient: options.newClient });
  const job = await Job.load(store, name);
  const failed: { error?: unknown } = {};
  const outcome = await renew(
    {
      store,
      clock: systemClock,
      issuer: {
        check: (checked) => issuer.check(checked),
        // The job keeps the problem; here its cause counts, too: a refused connection has a status of its own.
        obtain: (obtained, how) =>
          issuer.obtain(obtained, how).catch((error: unknown) => {
            failed.error = error;
            throw error;
          }),
      },
      logger: silent('md'),
      hooks: new Hooks({ commands: noHooks, clock: systemClock, logger: silent('md') }),
      activate: async () => {
        await activateStaged(store, name);
        return {};
      },
      activateOn: 'renewal',
      activationDelay: 0,
      checkInterval: DEFAULT_CHECK_INTERVAL,
      directoryUrl: (authority) => authority,
      retryDelay: DEFAULT_RETRY_DELAY,
      retryFailover: DEFAULT_RETRY_FAILOVER,
      random: Math.random,
    },
    {
      domain,
      job,
      reason: 'it was asked for',
      tell: options.tell,
      signal: new AbortController().signal,
    },
  );
  if (outcome.status === 'failed') {
    const { detail, type } = outcome.problem;
    throw new Failure('EGENERAL', `${detail} (${type})`, { cause: failed.error });
  }
  if (outcome.status === 'postponed') throw new Failure('EGENERAL', outcome.reason);
  if (outcome.status === 'staged') {
    return `staged, to be used from ${new Date(outcome.validFrom).toUTCString()} on`;
  }
  return `renewed, valid until ${new Date(outcome.notAfter).toUTCString()}`;
}
