/**
 * dns-01 and dns-account-01: the administrator's command writes the DNS record (MDChallengeDns01), or the program that
 * has the library.
 */
import { explain } from '../../base/errors.ts';
import type { Abortable } from '../../store/store.ts';
import { runCommand } from '../hooks/command.ts';
import { ownProblem, RenewalError } from '../issuer.ts';
import type { DnsCommand, DnsProvider } from '../settings.ts';

type ChallengeDns01 = DnsCommand | DnsProvider;

/** What a command is told of a record. */
export interface DnsRecord {
  /** The name that is validated: `_acme-challenge.NAME` has the record, unless `at` says otherwise. */
  readonly name: string;
  readonly data: string;
  /** Of dns-account-01: the whole name of the record. */
  readonly at?: string | undefined;
}

/** Whether a record is taken down by its data, so that a name may have several at a time. */
export function knowsData(configured: ChallengeDns01): boolean {
  return 'add' in configured || configured.version === 2;
}

/**
 * Runs `COMMAND setup NAME DATA [AT]`, or has the program do as much.
 * @throws RenewalError when it fails, with its words
 */
export async function setUpRecord(
  configured: ChallengeDns01,
  { name, data, at }: DnsRecord,
  options: Abortable,
): Promise<void> {
  if ('add' in configured) return addRecord(configured, at ?? recordName(name), data, options);
  const { command } = configured;
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
  if ('add' in configured) return removeRecord(configured, at ?? recordName(name), data);
  const { command, version } = configured;
  const known = [version === 2 ? data : undefined, at].filter((argument) => argument !== undefined);
  const failure = await runCommand([...command, 'teardown', name, ...known], options);
  return failure && `${told(command, 'teardown', name)} ${failure}`;
}

async function addRecord(
  provider: DnsProvider,
  name: string,
  value: string,
  { signal }: Abortable,
): Promise<void> {
  try {
    await provider.add(name, value, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    const detail = `The DNS record ${name} could not be added: ${explain(cause)}`;
    throw new RenewalError(ownProblem('dns-01-setup', detail), { cause });
  }
}

async function removeRecord(
  provider: DnsProvider,
  name: string,
  value: string | undefined,
): Promise<string | undefined> {
  if (value === undefined) return undefined;
  try {
    await provider.remove(name, value);
    return undefined;
  } catch (error) {
    return `The DNS record ${name} could not be removed: ${explain(error)}`;
  }
}

function recordName(name: string): string {
  return `_acme-challenge.${name}`;
}

/** Without the arguments that are configured: one may be a token. */
function told([program = '', ...args]: readonly string[], verb: string, name: string): string {
  return `MDChallengeDns01: '${program} ${args.length > 0 ? '… ' : ''}${verb} ${name}'`;
}
