/**
 * MDMessageCmd's event `installed`, which is told with the supervisor's rights: the command may read the keys. It
 * is told once for each activation, so that the engine can't have it run at will.
 */
import { systemClock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { HookCommands } from '../../domains/settings.ts';
import type { Told } from '../calls.ts';

/** A start and a reload wait no longer for commands than this, ms; they go on in the background. */
const PATIENCE = 10_000;

export class InstalledHook {
  readonly #logger: Logger;
  /** What was activated last, by domain. */
  readonly #serials = new Map<string, string>();
  readonly #untold = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * These certificates are in the store now; where they have been before, nothing is new. A command that a later
   * reload brings is not told of them.
   */
  note(domain: string, serials: readonly string[], { message }: HookCommands): void {
    const set = serials.join();
    if (set === '' || this.#serials.get(domain) === set) return;
    this.#serials.set(domain, set);
    if (message) this.#untold.add(domain);
  }

  /** Never rejects. */
  async tell(domain: string, { message }: HookCommands): Promise<Told> {
    if (!this.#untold.delete(domain) || !message) return { ran: false };
    const { runMessage } = await import('../../domains/hooks/hooks.ts');
    const problem = await runMessage(message, 'installed', domain, {});
    if (problem) this.#logger.error(`${problem.type} ${problem.detail}`);
    return { ran: true, problem: problem?.detail };
  }

  /** All that is untold, one after the other. */
  async tellAll(commands: HookCommands): Promise<void> {
    const telling = async () => {
      for (const domain of this.#untold) await this.tell(domain, commands);
    };
    const enough = new AbortController();
    const { signal } = enough;
    await Promise.race([telling(), systemClock.sleep(PATIENCE, { signal }).catch(() => {})]);
    enough.abort();
  }
}
