/** Proving control of an order's names, all at once. */
import { pollAuthorization } from '../../acme/poll.ts';
import type { Authorization, Order } from '../../acme/client.ts';
import { ownProblem, type Problem, RenewalError } from '../issuer.ts';
import { fromCa } from '../problems.ts';
import { challengeChoices, chooseChallenge, putChallenge, type Setup, setupLabel } from './challenges.ts';
import type { Run } from './run.ts';
import { DeadOrderError, saveOrder, ValidationError } from './staged-order.ts';

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
  if (setups.length === 0) return;
  await saveOrder(run, order, setups.map(setupLabel));
  await allOrAbort(options.signal, setups, (setup, signal) => validate(run, setup, signal));
}

function choose(run: Run, authorization: Authorization): Setup {
  if (authorization.status !== 'pending') throw new DeadOrderError(failureOf(authorization));
  const chosen = chooseChallenge(challengeChoices(run.domain), authorization);
  if ('detail' in chosen) throw new RenewalError(chosen);
  return chosen;
}

async function validate(run: Run, setup: Setup, signal: AbortSignal): Promise<void> {
  const { client, account, clock, options, store, domain } = run;
  const { type, name, challenge } = setup;
  const keyAuthorization = client.keyAuthorization(account, challenge.token ?? '');
  await putChallenge(store, domain.name, setup, { keyAuthorization, now: clock.now() }, { signal });
  options.progress({ step: 'challenge', detail: `Starting challenge ${type} for ${name}` });
  // Resumed, a challenge may be with the CA already; asking again is allowed only while it is pending.
  if (challenge.status === 'pending') await client.answerChallenge(account, challenge.url, { signal });
  const authorization = await pollAuthorization(client, account, setup.authorizationUrl, {
    until: ({ status }) => status !== 'pending',
    clock,
    signal,
  });
  if (authorization.status !== 'valid') throw new ValidationError(failureOf(authorization));
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
  task: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
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
