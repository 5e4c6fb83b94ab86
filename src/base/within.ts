/** Bounds in time for functions that are not ours. */
import type { Clock } from './clock.ts';
import { LatchkeyError } from './errors.ts';

export interface Bounds {
  readonly clock: Clock;
  /** ms */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What `task` gives. Rejects with LatchkeyError `too-late` once the time is over, with the signal's reason when aborted,
 * whether or not `task` heeds the signal it is given, which is aborted in both cases.
 */
export async function within<Result>(
  { clock, limit, signal }: Bounds,
  task: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  signal?.throwIfAborted();
  const late = new AbortController();
  const done = new AbortController();
  const either = (own: AbortController) => (signal ? AbortSignal.any([signal, own.signal]) : own.signal);
  const patience = clock.sleep(limit, { signal: either(done) }).then(() => {
    const error = new LatchkeyError('too-late', `it did not end within ${limit / 1000} s`);
    late.abort(error);
    throw error;
  });
  try {
    return await Promise.race([task(either(late)), patience]);
  } finally {
    patience.catch(() => {});
    done.abort();
  }
}
