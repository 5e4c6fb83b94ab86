/** Runs validations in the background and writes down how they end. */
import PQueue from 'p-queue';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { NameResolver } from '../validation/resolve.ts';
import { validate } from '../validation/validate.ts';
import type { Accounts } from './accounts.ts';
import type { Authorization, Challenge, ChallengePlace, Order, Orders } from './orders.ts';
import { AcmeProblem } from './problem.ts';
import type { ProblemDocument } from './problem.ts';

const PARALLEL = 32;
/** After a restart the servers to be asked may be starting too, ms. */
const GRACE = 5_000;
/** Most validations are done in less, ms: with the result in the answer to it, a challenge needs no second question. */
const PROMPT = 500;

export interface ValidatorOptions {
  readonly accounts: Accounts;
  readonly orders: Orders;
  readonly resolver: NameResolver;
  readonly ports: { readonly http: number; readonly https: number };
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stops everything. */
  readonly signal: AbortSignal;
}

export class Validator {
  readonly #options: ValidatorOptions;
  readonly #queue = new PQueue({ concurrency: PARALLEL });
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: ValidatorOptions) {
    this.#options = options;
  }

  /**
   * Takes a challenge on: fulfilled with the order once the validation has ended (or at once, where that
   * authorization is decided already), or after half a second, while the validation goes on by itself.
   */
  async start(place: ChallengePlace): Promise<Order | undefined> {
    const { orders, clock } = this.#options;
    await orders.decide(place, (authorization) =>
      withChallenge(authorization, place, (challenge) => ({ ...challenge, status: 'processing' })),
    );
    const done = new AbortController();
    const moment = clock.sleep(PROMPT, { signal: done.signal }).catch(() => {});
    await Promise.race([this.#enqueue(place), moment]);
    done.abort();
    return orders.get(place.order);
  }

  /** Goes on with what the last process left, after a moment; a client that asks again has it at once. */
  async resume(): Promise<void> {
    const { orders, clock, signal } = this.#options;
    const places = [...orders.interrupted()];
    if (places.length === 0) return;
    await clock.sleep(GRACE, { signal });
    for (const place of places) void this.#enqueue(place);
  }

  /** Fulfilled when nothing is being validated any more. */
  async idle(): Promise<void> {
    await this.#queue.onIdle();
  }

  /** Fulfilled when the validation has ended, however. */
  #enqueue(place: ChallengePlace): Promise<void> {
    const name = `${place.order}/${place.index}/${place.type}`;
    if (this.#options.signal.aborted) return Promise.resolve();
    const running = this.#running.get(name);
    if (running) return running;
    const added = this.#queue.add(async () => {
      try {
        await this.#run(place);
      } catch (error) {
        if (!this.#options.signal.aborted)
          this.#options.logger.error(`validating ${name}: ${explain(error)}`);
      } finally {
        this.#running.delete(name);
      }
    });
    this.#running.set(name, added);
    return added;
  }

  async #run(place: ChallengePlace): Promise<void> {
    const { accounts, orders, logger, signal } = this.#options;
    signal.throwIfAborted();
    const order = orders.get(place.order);
    const authorization = order?.authorizations[place.index];
    const challenge = authorization?.challenges.find(({ type }) => type === place.type);
    const account = order && accounts.get(order.account);
    if (!account || authorization?.status !== 'pending' || challenge?.status !== 'processing') return;
    const error = await this.#attempt(authorization, challenge, account.thumbprint);
    const outcome = error ? `refused: ${error.detail}` : 'valid';
    logger.info(`${place.type} for ${authorization.identifier.value} is ${outcome}`);
    await orders.decide(place, (current) => decided(current, place, error, this.#options.clock.now()));
  }

  async #attempt(
    { identifier }: Authorization,
    { type, token }: Challenge,
    thumbprint: string,
  ): Promise<ProblemDocument | undefined> {
    const { ports, resolver, signal, clock } = this.#options;
    const keyAuthorization = `${token}.${thumbprint}`;
    try {
      await validate(type, { identifier, token, keyAuthorization, ports, resolver, signal }, clock);
      return undefined;
    } catch (error) {
      if (error instanceof AcmeProblem) return error.document;
      throw error;
    }
  }
}

function decided(
  authorization: Authorization,
  place: ChallengePlace,
  error: ProblemDocument | undefined,
  now: number,
): Authorization {
  const status = error ? 'invalid' : 'valid';
  const result = error ? ({ status, error } as const) : ({ status, validated: now } as const);
  return { ...withChallenge(authorization, place, (challenge) => ({ ...challenge, ...result })), status };
}

function withChallenge(
  authorization: Authorization,
  { type }: ChallengePlace,
  change: (challenge: Challenge) => Challenge,
): Authorization {
  const challenges = authorization.challenges.map((one) => (one.type === type ? change(one) : one));
  return { ...authorization, challenges };
}
