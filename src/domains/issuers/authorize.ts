/** Proving control of an order's names, all at once. */
import { pollAuthorization } from '../../acme/poll.ts';
import type { Authorization, Order } from '../../acme/client.ts';
import { canonicalName } from '../../pki/names.ts';
import { ownProblem, type Problem, RenewalError } from '../issuer.ts';
import { fromCa } from '../renewal/problems.ts';
import {
  challengeChoices,
  chooseChallenge,
  PERSISTENT,
  putChallenge,
  type Setup,
  setupLabel,
} from './challenges.ts';
import { knowsData } from './dns-01.ts';
import { persistentRecord } from './dns-records.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import type { Run } from './run.ts';
import { DeadOrderError, saveOrder, ValidationError } from './staged-order.ts';

/** No CA looks for a challenge in less, ms: to ask sooner is to ask twice. */
const VALIDATION = 100;

/**
 * Has all names of a pending order validated. What is to be set up is in order.json before it is set up, so
 * that whatever happens it is taken down again.
 * @throws ValidationError when a name can't be validated, with the CA's reason
 */
export async function authorize(run: Run, order: Order): Promise<void> {
  const { client, account, options } = run;
  const authorizations = await allOrAbort(options.signal, order.authorizations, (url, signal) =>
    client.authorization(account, url, { signal }),
  );
  const setups = authorizations.filter(({ status }) => status !== 'valid').map((open) => choose(run, open));
  const labels = setups
    .filter(({ type }) => type !== PERSISTENT)
    .map((setup) => setupLabel(run.domain, setup, proofOf(run, setup)));
  await saveOrder(run, order, { setups: labels, durable: true });
  for (const round of roundsOf(run.domain, setups)) {
    // One by one: a command for DNS need not bear a second call while it works.
    for (const setup of round) await putUp(run, setup);
    await allOrAbort(options.signal, round, (setup, signal) => validate(run, setup, signal));
  }
}

/**
 * What can be validated at once. A name and its wildcard share a DNS record, of which a command of version 1 keeps
 * one value only: setting up another replaces it, so they come one after the other.
 */
function roundsOf({ challengeDns01 }: ManagedDomainSettings, setups: readonly Setup[]): readonly Setup[][] {
  if (challengeDns01 && knowsData(challengeDns01)) return [[...setups]];
  const rounds: Setup[][] = [];
  for (const setup of setups) {
    const earlier = rounds.filter((round) => round.some((other) => sharesRecord(setup, other))).length;
    (rounds[earlier] ??= []).push(setup);
  }
  return rounds;
}

function sharesRecord(one: Setup, other: Setup): boolean {
  return one.type.startsWith('dns-') && one.type === other.type && one.name === other.name;
}

function proofOf({ client, account }: Run, { challenge }: Setup) {
  const keyAuthorization = client.keyAuthorization(account, challenge.token ?? '');
  return { keyAuthorization, accountUrl: account.url };
}

async function putUp(run: Run, setup: Setup): Promise<void> {
  const { type, name } = setup;
  const remedy = remedyOf(run, setup);
  const detail = remedy ?? `Setting up challenge ${type} for ${name}`;
  run.options.progress({ step: 'challenge', detail });
  await putChallenge(run, setup, { ...proofOf(run, setup), now: run.clock.now() }, run.options);
  await run.options.challengeReady?.(type, name);
}

/** What the administrator has to have done for a record that we don't write. */
function remedyOf({ account }: Run, { type, challenge, ...of }: Setup): string | undefined {
  const record = type === PERSISTENT ? persistentRecord(challenge, account.url, of) : undefined;
  return record && `Set this DNS record once, for good: ${record}`;
}

function choose(run: Run, authorization: Authorization): Setup {
  const name = authorization.identifier.value;
  // It becomes the name of a folder and an argument of a command.
  if (!run.domain.domains.some((own) => own.replace(/^\*\./, '') === canonicalName(name))) {
    throw new RenewalError(
      ownProblem('authorization', `The CA wants ${name} validated, which is no name of this domain`),
    );
  }
  if (authorization.status !== 'pending') throw new DeadOrderError(failureOf(authorization));
  const chosen = chooseChallenge(challengeChoices(run.domain), authorization);
  if ('detail' in chosen) throw new RenewalError(chosen);
  return chosen;
}

async function validate(run: Run, setup: Setup, signal: AbortSignal | undefined): Promise<void> {
  const { client, account, clock, options } = run;
  const { type, name, challenge } = setup;
  options.progress({ step: 'challenge', detail: `Starting challenge ${type} for ${name}` });
  // Resumed, a challenge may be with the CA already; asking again is allowed only while it is pending.
  if (challenge.status === 'pending') await client.answerChallenge(account, challenge.url, { signal });
  const authorization = await pollAuthorization(client, account, setup.authorizationUrl, {
    until: ({ status }) => status !== 'pending',
    headStart: VALIDATION,
    clock,
    signal,
  });
  if (authorization.status !== 'valid') {
    const remedy = remedyOf(run, setup);
    throw new ValidationError({ ...failureOf(authorization), ...(remedy !== undefined && { remedy }) });
  }
  options.progress({ step: 'authorization', detail: `${name} is validated` });
}

/** Why a name was not validated: the CA's words where it has any. */
function failureOf(authorization: Authorization): Problem {
  const { identifier, status, challenges } = authorization;
  const error = challenges.find((challenge) => challenge.error)?.error;
  if (error) return { ...fromCa(error), identifier: identifier.value };
  return ownProblem('authorization', `The authorization of ${identifier.value} is ${status}`);
}

/** All results, or the first failure once the others, then pointless, have been aborted and have ended. */
async function allOrAbort<Item, Result>(
  signal: AbortSignal | undefined,
  items: readonly Item[],
  task: (item: Item, signal: AbortSignal | undefined) => Promise<Result>,
): Promise<Result[]> {
  const [only, ...others] = items;
  // Most certificates have one name.
  if (only !== undefined && others.length === 0) return [await task(only, signal)];
  const failed = new AbortController();
  const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const tasks = items.map(async (item) => {
    try {
      return await task(item, either);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(tasks);
  failed.signal.throwIfAborted();
  return Promise.all(tasks);
}
