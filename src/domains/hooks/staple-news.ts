/** MDMessageCmd is told of OCSP responses that were renewed, and of those that could not be. */
import { explain } from '../../base/errors.ts';
import { subscribe } from '../../base/events.ts';
import { Job } from '../renewal/job.ts';
import type { RenewalContext } from '../renewal/renewal.ts';
import type { HookEvent } from './hooks.ts';

export interface StapleNewsParts {
  /** Now in force. */
  readonly context: () => Pick<RenewalContext, 'hooks' | 'store' | 'logger'>;
  /** Of a managed domain; undefined for what is none. */
  readonly job: (name: string) => Promise<Job> | undefined;
  readonly signal: AbortSignal;
}

/** Listens until disposed. */
export function tellOfStaples(parts: StapleNewsParts): Disposable {
  // Certificates that are no managed domain's.
  const others = new Job('other');
  const subscriptions = new DisposableStack();
  for (const event of ['ocsp-renewed', 'ocsp-errored'] as const) {
    const channel = event === 'ocsp-renewed' ? 'latchkey:ocsp:renewed' : 'latchkey:ocsp:errored';
    subscriptions.use(subscribe(channel, ({ domain }) => void tell(parts, others, domain, event)));
  }
  return subscriptions;
}

/** Never rejects. */
async function tell(
  { context, job: jobOf, signal }: StapleNewsParts,
  others: Job,
  name: string,
  event: HookEvent,
): Promise<void> {
  const { hooks, store, logger } = context();
  if (!hooks.commands.message) return;
  const managed = jobOf(name);
  if (!managed && name !== others.name) return;
  try {
    const job = managed ? await managed : others;
    await hooks.message(job, event, { signal });
    if (managed) await job.save(store);
  } catch (error) {
    if (!signal.aborted) logger.error(`AH10056: processing ${name}: ${explain(error)}`);
  }
}
