/**
 * Challenges: which one a name is validated by, and the files in `challenges/NAME` that workers answer from.
 */
import { isIP } from 'node:net';
import type { Authorization, Challenge } from '../../acme/client.ts';
import { publish } from '../../base/events.ts';
import { canonicalName } from '../../pki/names.ts';
import { createAlpnCertificate } from '../../pki/selfsigned.ts';
import { savePrivateKey } from '../../store/keys.ts';
import type { Abortable, SaveOptions } from '../../store/store.ts';
import { ownProblem, type Problem } from '../issuer.ts';
import type { ManagedDomainSettings, Reach } from '../settings.ts';
import { knowsData, setUpRecord, tearDownRecord } from './dns-01.ts';
import { accountRecordName, recordOf } from './dns-records.ts';
import type { Run } from './run.ts';

/** In order of preference, unless configured otherwise. Others ask for more than a server can do by itself. */
const PREFERRED = ['tls-alpn-01', 'http-01', 'dns-01'] as const;

/** A name to validate, and by what. */
export interface Setup {
  readonly type: string;
  /** The identifier: for `*.example.org` it is `example.org`. */
  readonly name: string;
  /** The authorization is for `*.NAME`. */
  readonly wildcard: boolean;
  readonly challenge: Challenge;
  readonly authorizationUrl: string;
}

interface Task {
  readonly name: string;
  readonly keyAuthorization: string;
  readonly accountUrl: string;
  /** ms since the epoch. */
  readonly now: number;
}

/** Challenges are set up anew by whoever goes on with an order: nothing of them has to last. */
type Solver = (
  where: Pick<Run, 'store' | 'domain' | 'clock'>,
  task: Task,
  options: SaveOptions,
) => Promise<void>;

/** Puts a key authorization where the CA will look for it, by challenge type. */
const solvers: Readonly<Record<string, Solver>> = {
  'http-01': ({ store }, { name, keyAuthorization }, options) =>
    store.save('challenges', name, 'acme-http-01.txt', keyAuthorization, options),
  'tls-alpn-01': async ({ store }, task, options) => {
    const { certPem, keyPem } = await createAlpnCertificate(task);
    await savePrivateKey(store, 'challenges', task.name, 'acme-tls-alpn-01-privkey.pem', keyPem, options);
    await store.save('challenges', task.name, 'acme-tls-alpn-01-pubcert.pem', certPem, options);
  },
  'dns-01': async ({ domain: { challengeDns01 }, clock }, { name, keyAuthorization }, { signal }) => {
    const data = recordOf(keyAuthorization);
    if (challengeDns01) await setUpRecord(challengeDns01, { name, data }, { clock, signal });
  },
  'dns-account-01': async (where, { name, keyAuthorization, accountUrl }, { signal }) => {
    const { challengeDns01 } = where.domain;
    const data = recordOf(keyAuthorization);
    const at = accountRecordName(accountUrl, name);
    if (challengeDns01) await setUpRecord(challengeDns01, { name, data, at }, { clock: where.clock, signal });
  },
};

/** The record is the administrator's, who sets it once: there is nothing to set up or to take down. */
export const PERSISTENT = 'dns-persist-01';

export interface Choices {
  /** Challenge types that can work here, the preferred first. */
  readonly types: readonly string[];
  /** Why the others can't, for the administrator. */
  readonly reasons: readonly string[];
}

/** The configured challenge types (or all), less those that can't work. */
export function challengeChoices(domain: ManagedDomainSettings): Choices {
  const types: string[] = [];
  const reasons: string[] = [];
  for (const type of domain.challenges ?? PREFERRED) {
    const reach = reachOf(domain, type);
    if (reach.possible) types.push(type);
    else reasons.push(`${type}: ${reach.reason}`);
  }
  return { types, reasons };
}

function reachOf(domain: ManagedDomainSettings, type: string): Reach {
  const known: Partial<Record<string, Reach>> = {
    'http-01': domain.reach.http01,
    'tls-alpn-01': domain.reach.tlsAlpn01,
    'dns-01': domain.reach.dns01,
    'dns-account-01': domain.reach.dns01,
    [PERSISTENT]: { possible: true },
  };
  const reach = known[type] ?? { possible: false, reason: 'no such challenge type is known' };
  const commanded = type === 'dns-01' || type === 'dns-account-01';
  if (!reach.possible || !commanded || domain.challengeDns01) return reach;
  return { possible: false, reason: 'there is nothing here that could set it up' };
}

function isDns(type: string): boolean {
  return type.startsWith('dns-');
}

/** What keeps a domain from being validated by any challenge, or undefined. */
export function challengeProblem(domain: ManagedDomainSettings): Problem | undefined {
  const { types, reasons } = challengeChoices(domain);
  const [byDns, others] = [types.filter(isDns), types.filter((type) => !isDns(type))];
  const unfit: string[] = [];
  // RFC 8738 section 7: there is no DNS record to prove an address by.
  const address = others.length > 0 ? undefined : domain.domains.find((name) => isIP(name) !== 0);
  if (address !== undefined)
    unfit.push(...byDns.map((type) => `${type}: an address can't be proved by DNS (${address})`));
  // What answers at one name says nothing of all that are below it: no public CA takes it (Baseline Requirements).
  const wildcard = byDns.length > 0 ? undefined : domain.domains.find((name) => name.startsWith('*.'));
  if (wildcard !== undefined)
    unfit.push(...others.map((type) => `${type}: a wildcard is proved by DNS alone (${wildcard})`));
  if (types.length > 0 && unfit.length === 0) return undefined;
  return ownProblem(
    'no-suitable-challenge',
    `None of the ACME challenge methods configured for this domain are suitable. ${[...unfit, ...reasons].join('. ')}.`,
  );
}

/** The challenge to answer among those that the CA offers for a name, or the problem with them. */
export function chooseChallenge(choices: Choices, authorization: Authorization): Setup | Problem {
  const { identifier, wildcard = false, url: authorizationUrl } = authorization;
  const name = canonicalName(identifier.value);
  for (const type of choices.types) {
    const challenge = authorization.challenges.find((offered) => offered.type === type);
    if (challenge) return { type, name, wildcard, challenge, authorizationUrl };
  }
  const offered = authorization.challenges.map(({ type }) => type).join(', ');
  const label = authorization.wildcard ? `*.${name}` : name;
  return ownProblem(
    'no-suitable-challenge',
    `None of the ACME challenge methods configured for this domain are suitable. For ${label} the CA offers ` +
      `${offered || 'none'}; possible here: ${choices.types.join(', ')}. ${choices.reasons.join('. ')}`.trim(),
  );
}

/**
 * Has the challenge answered: by the workers, or by DNS.
 * @throws RenewalError when the command for DNS fails
 */
export async function putChallenge(
  where: Pick<Run, 'store' | 'domain' | 'clock'>,
  { type, name }: Pick<Setup, 'type' | 'name'>,
  task: Omit<Task, 'name'>,
  options: Abortable,
): Promise<void> {
  await solvers[type]?.(where, { ...task, name }, { ...options, durable: false });
  publish('latchkey:challenge:ready', { domain: where.domain.name, name, type });
}

/**
 * A set-up as order.json has it, `TYPE:DNS`; with what a command needs to take down the record behind it:
 * `dns-01:DNS [DATA]`, `dns-account-01:DNS AT [DATA]`.
 */
export function setupLabel(
  { challengeDns01 }: Pick<ManagedDomainSettings, 'challengeDns01'>,
  { type, name }: Pick<Setup, 'type' | 'name'>,
  { keyAuthorization, accountUrl }: Pick<Task, 'keyAuthorization' | 'accountUrl'>,
): string {
  const parts = [`${type}:${name}`];
  if (type === 'dns-account-01') parts.push(accountRecordName(accountUrl, name));
  if (type.startsWith('dns-') && challengeDns01 && knowsData(challengeDns01))
    parts.push(recordOf(keyAuthorization));
  return parts.join(' ');
}

/**
 * Takes down what order.json's `challenge-setups` name. What isn't there any more is no error, and neither is a
 * command that fails: it is told, and the certificate is none the worse for it.
 */
export async function removeChallenges(
  { store, domain, clock, options }: Pick<Run, 'store' | 'domain' | 'clock' | 'options'>,
  labels: readonly string[],
): Promise<void> {
  for (const label of labels) {
    const colon = label.indexOf(':');
    const type = label.slice(0, colon);
    const [name = '', ...more] = label.slice(colon + 1).split(' ');
    if (type.startsWith('dns-')) {
      const at = type === 'dns-account-01' ? more.shift() : undefined;
      const problem = await tearDownRecord(
        domain.challengeDns01,
        { name, data: more[0], at },
        { clock, signal: options.signal },
      );
      if (problem !== undefined) options.progress({ step: 'challenge', detail: problem });
    } else {
      await store.purge('challenges', name, { durable: false });
    }
    publish('latchkey:challenge:removed', { domain: domain.name, name, type });
  }
}
