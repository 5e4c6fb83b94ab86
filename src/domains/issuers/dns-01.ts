/** dns-01 and dns-account-01 by MDChallengeDns01: the administrator's command writes the DNS record. */
import type { Abortable } from '../../store/store.ts';
import { runCommand } from '../hooks/command.ts';
import { ownProblem, RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';

type ChallengeDns01 = NonNullable<ManagedDomainSettings['challengeDns01']>;

/** What a command is told of a record. */
export interface DnsRecord {
  /** The name that is validated: `_acme-challenge.NAME` has the record, unless `at` says otherwise. */
  readonly name: string;
  readonly data: string;
  /** Of dns-account-01: the whole name of the record. */
  readonly at?: string | undefined;
}

/**
 * Runs `COMMAND setup NAME DATA [AT]`.
 * @throws RenewalError when it fails, with its words
 */
export async function setUpRecord(
  { command }: ChallengeDns01,
  { name, data, at }: DnsRecord,
  options: Abortable,
): Promise<void> {
  const where = at === undefined ? [] : [at];
  const failure = await runCommand([...command, 'setup', name, data, ...where], options);
  if (failure === undefined) return;
  throw new RenewalError(ownProblem('dns-01-setup', `${told(command, 'setup', name)} ${failure}`));
}

/**
 * Runs `COMMAND teardown NAME [DATA] [AT]`, the data in version 2 as far as known. Fulfilled with what went wrong, or
 * undefined: a record that stays does no harm.
 */
export async function tearDownRecord(
  configured: ChallengeDns01 | undefined,
  { name, data, at }: Omit<DnsRecord, 'data'> & { readonly data: string | undefined },
  options: Abortable,
): Promise<string | undefined> {
  if (!configured) return `No MDChallengeDns01 is left that could remove the DNS record of ${name}`;
  const { command, version } = configured;
  const known = [version === 2 ? data : undefined, at].filter((argument) => argument !== undefined);
  const failure = await runCommand([...command, 'teardown', name, ...known], options);
  return failure && `${told(command, 'teardown', name)} ${failure}`;
}

/** Without the arguments that are configured: one may be a token. */
function told([program = '', ...args]: readonly string[], verb: string, name: string): string {
  return `MDChallengeDns01: '${program} ${args.length > 0 ? '… ' : ''}${verb} ${name}'`;
}
