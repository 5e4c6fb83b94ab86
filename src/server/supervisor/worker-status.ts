/** What the workers have to do at the moment, for whoever looks at the status. */
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerStatus } from '../../status/document.ts';
import type { Children } from './children.ts';

/** A worker that is too busy to answer (ms) is told of without its load: a status is wanted most of all then. */
const PATIENCE = 1000;

export function describeWorkers({ workers }: Pick<Children, 'workers'>): Promise<WorkerStatus[]> {
  return Promise.all(
    workers.map(async ({ id, pid, peer }) => {
      const late = delay(PATIENCE, undefined, { ref: false });
      const load = await Promise.race([peer.call('load', undefined), late]).catch(() => undefined);
      return { id, pid, load };
    }),
  );
}
