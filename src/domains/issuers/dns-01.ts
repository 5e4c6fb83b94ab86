/** dns-01 (RFC 8555 section 8.4) by MDChallengeDns01: the administrator's command writes the DNS record. */
import { createHash } from 'node:crypto';
import type { Abortable } from '../../store/store.ts';
import { runCommand } from '../command.ts';
import { ownProblem, RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';

type ChallengeDns01 = NonNullable<ManagedDomainSettings['challengeDns01']>;

/** What the TXT record of `_acme-challenge.NAME` has to be. */
export function recordOf(keyAuthorization: string): string {
  return createHash('sha256').update(keyAuthorization).digest('base64url');
}

/**
 * Runs `COMMAND setup NAME DATA`.
 * @throws RenewalError when it fails, with its words
 */
export async function setUpRecord(
  { command }: ChallengeDns01,
  name: string,
  data: string,
  options: Abortable,
): Promise<void> {
  const failure = await runCommand([...command, 'setup', name, data], options);
  if (failure === undefined) return;
  throw new RenewalError(ownProblem('dns-01-setup', `${told(command, 'setup', name)} ${failure}`));
}

/**
 * Runs `COMMAND teardown NAME`, in version 2 with the data, as far as known. Fulfilled with what went wrong, or
 * undefined: a record that stays does no harm.
 */
export async function tearDownRecord(
  configured: ChallengeDns01 | undefined,
  name: string,
  data: string | undefined,
  options: Abortable,
): Promise<string | undefined> {
  if (!configured) return `No MDChallengeDns01 is left that could remove the DNS record of ${name}`;
  const { command, version } = configured;
  const known = version === 2 && data !== undefined ? [data] : [];
  const failure = await runCommand([...command, 'teardown', name, ...known], options);
  return failure && `${told(command, 'teardown', name)} ${failure}`;
}

/** Without the arguments that are configured: one may be a token. */
function told([program = '', ...args]: readonly string[], verb: string, name: string): string {
  return `MDChallengeDns01: '${program} ${args.length > 0 ? '… ' : ''}${verb} ${name}'`;
}
