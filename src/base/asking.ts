/** What it takes to ask an HTTP server in the time of a handshake. */
import { lookup, type LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { systemCode } from './errors.ts';

/**
 * For connections to one host. One look-up at a time, however many want it: each one that hangs takes a thread of the
 * few that files are read by, too.
 */
export function sharedLookup(): LookupFunction {
  type Done = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;
  let waiting: Done[] | undefined;
  return (hostname, options, callback) => {
    const done: Done = (error, addresses) => {
      const [first] = addresses;
      if (error || options.all === true || !first) callback(error, addresses);
      else callback(null, first.address, first.family);
    };
    if (waiting) {
      waiting.push(done);
      return;
    }
    const all = [done];
    waiting = all;
    lookup(hostname, { all: true }, (error, addresses) => {
      waiting = undefined;
      for (const each of all) each(error, addresses ?? []);
    });
  };
}

/** `work`, or the signal's reason as soon as it is aborted: not every wait of undici's ends by its signal (a look-up). */
export async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const { promise, reject } = Promise.withResolvers<never>();
  const give = () => reject(signal.reason);
  if (signal.aborted) give();
  signal.addEventListener('abort', give, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', give);
  }
}

/** Of undici, Node and the system: the connection ended before there was an answer. */
const CUT_OFF = new Set(['UND_ERR_SOCKET', 'UND_ERR_INFO', 'ECONNRESET', 'EPIPE']);

/**
 * Asks once more where a kept connection ended as it was used, which servers that close idle ones can't avoid.
 * `connections`: how many have been made so far; what fails on a new one fails.
 */
export async function askAgainIfCutOff<Answer>(
  ask: () => Promise<Answer>,
  connections: () => number,
): Promise<Answer> {
  const before = connections();
  try {
    return await ask();
  } catch (error) {
    if (!CUT_OFF.has(systemCode(error) ?? '') || connections() !== before) throw error;
    return ask();
  }
}
