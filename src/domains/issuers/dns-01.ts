/**
 * dns-01 and dns-account-01: the administrator's command writes the DNS record (MDChallengeDns01), or the program that
 * has the library.
 */
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import { within } from '../../base/within.ts';
import type { Abortable } from '../../store/store.ts';
import { runCommand } from '../hooks/command.ts';
import { ownProblem, RenewalError } from '../issuer.ts';
import type { DnsCommand, DnsProvider } from '../settings.ts';

type ChallengeDns01 = DnsCommand | DnsProvider;

/** The clock bounds what the program does; a command is bounded by the system's. */
export interface RecordOptions extends Abortable {
  readonly clock: Clock;
}

/** ms for the program, the same as for a command: what hangs has a place at the CA that others wait for. */
const LIMIT = 60_000;

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
  options: RecordOptions,
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
  options: RecordOptions,
): Promise<string | undefined> {
  if (!configured) return `No MDChallengeDns01 is left that could remove the DNS record of ${name}`;
  if ('add' in configured) return removeRecord(configured, at ?? recordName(name), data, options);
  const { command, version } = configured;
  const known = [version === 2 ? data : undefined, at].filter((argument) => argument !== undefined);
  const failure = await runCommand([...command, 'teardown', name, ...known], options);
  return failure && `${told(command, 'teardown', name)} ${failure}`;
}

async function addRecord(
  provider: DnsProvider,
  name: string,
  value: string,
  { clock, signal }: RecordOptions,
): Promise<void> {
  try {
    await within({ clock, signal, limit: LIMIT }, (ended) => provider.add(name, value, { signal: ended }));
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
  { clock, signal }: RecordOptions,
): Promise<string | undefined> {
  if (value === undefined) return undefined;
  try {
    await within({ clock, signal, limit: LIMIT }, (ended) => provider.remove(name, value, { signal: ended }));
    return undefined;
  } catch (error) {
    // The order is remembered: the record is removed at the next start.
    signal?.throwIfAborted();
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
