/** A renewal engine whose time, store and CA are a test's. */
import assert from 'node:assert/strict';
import { TestClock } from '../base/clock.testing.ts';
import { createLoggers } from '../base/log.ts';
import { MemoryStore } from '../store/memory.ts';
import { activateStaged } from './stored/activate.ts';
import { DAY, put, until } from './domains.testing.ts';
import type { EngineOptions } from './engine-options.ts';
import { RenewalEngine } from './engine.ts';
import type { Issuer, ObtainOptions } from './issuer.ts';
import type { ManagedDomainSettings } from './settings.ts';

export type Script = (domain: ManagedDomainSettings, options: ObtainOptions) => Promise<void> | void;

/** An issuer that does as told; untold it gives what is asked for, for 90 days. */
export class ScriptedIssuer implements Issuer {
  readonly runs: { readonly name: string; readonly at: number; readonly authority: string }[] = [];
  script: Script = () => {};
  life = 90 * DAY;
  /** How far in the future certificates become valid. */
  ahead = 0;
  readonly #store: MemoryStore;
  readonly #clock: TestClock;

  constructor(store: MemoryStore, clock: TestClock) {
    this.#store = store;
    this.#clock = clock;
  }

  check() {
    return [];
  }

  count(name: string): number {
    return this.runs.filter((run) => run.name === name).length;
  }

  async obtain(domain: ManagedDomainSettings, options: ObtainOptions): Promise<void> {
    const now = this.#clock.now();
    this.runs.push({ name: domain.name, at: now, authority: options.authority });
    options.progress({ step: 'order', detail: 'Creating new order' });
    await this.script(domain, options);
    const present = await this.#store.aspects('staging', domain.name);
    if (present.some((aspect) => aspect.startsWith('pubcert'))) return;
    const dates = { notBefore: now + this.ahead, notAfter: now + this.life };
    for (const spec of domain.keys) {
      await put(this.#store, 'staging', domain.name, { names: domain.domains, spec, ...dates });
    }
  }
}

export interface Fixture extends AsyncDisposable {
  readonly store: MemoryStore;
  readonly clock: TestClock;
  readonly issuer: ScriptedIssuer;
  readonly log: string[];
  engine: RenewalEngine;
  activations: number;
  /** Another process takes over, on what the store has. */
  restart(domains: readonly ManagedDomainSettings[], options?: Partial<EngineOptions>): RenewalEngine;
}

export function fixture(
  domains: readonly ManagedDomainSettings[],
  options: Partial<EngineOptions> = {},
  store = new MemoryStore(),
): Fixture {
  const clock = new TestClock();
  const issuer = new ScriptedIssuer(store, clock);
  const log: string[] = [];
  const loggers = createLoggers(
    (line) => log.push(line),
    () => ({ all: 'debug', modules: {} }),
  );
  const make = (list: readonly ManagedDomainSettings[], more: Partial<EngineOptions>) =>
    new RenewalEngine({
      domains: list,
      store,
      clock,
      issuer,
      loggers,
      random: () => 0,
      activate: async (name) => {
        self.activations += 1;
        await activateStaged(store, name, { clock });
        return {};
      },
      ...options,
      ...more,
    });
  const self: Fixture = {
    store,
    clock,
    issuer,
    log,
    activations: 0,
    engine: make(domains, {}),
    restart: (list, more = {}) => (self.engine = make(list, more)),
    [Symbol.asyncDispose]: () => self.engine[Symbol.asyncDispose](),
  };
  return self;
}

export function statusOf(engine: RenewalEngine, name: string) {
  const status = engine.status().find((domain) => domain.name === name);
  assert.ok(status);
  return status;
}

/** Waits until nothing runs and what is next is settled. */
export async function idle({ engine, clock }: Fixture): Promise<void> {
  await until(async () => {
    await clock.advance(0);
    return engine.status().every(({ running, state }) => !running && state !== 'unknown');
  });
}
