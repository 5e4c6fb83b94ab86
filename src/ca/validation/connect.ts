/** TCP connections to whoever a name leads to: address after address. */
import { connect as netConnect } from 'node:net';
import type { Socket } from 'node:net';
import { AcmeProblem } from '../acme/problem.ts';
import { describe, endpoint } from './failure.ts';

/** Per address, ms. */
const CONNECT_TIMEOUT = 5000;

/**
 * Connects to the first of `addresses` that answers. Rejects with AcmeProblem `connection`, which names each
 * address tried and what it said.
 */
export async function connect(
  host: string,
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
): Promise<{ socket: Socket; at: string }> {
  const tried: string[] = [];
  for (const address of addresses) {
    const at = endpoint(address, port);
    try {
      return { socket: await open(address, port, signal), at };
    } catch (error) {
      tried.push(`${at}: ${describe(error)}`);
    }
  }
  throw new AcmeProblem('connection', `${host} can not be reached: ${tried.join('; ')}`);
}

async function open(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(CONNECT_TIMEOUT)]);
  bounded.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = netConnect({ host, port });
  const abort = () => reject(bounded.reason);
  bounded.addEventListener('abort', abort, { once: true });
  socket.once('connect', resolve).once('error', reject);
  try {
    await promise;
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    bounded.removeEventListener('abort', abort);
    socket.off('error', reject);
    // A peer that resets between connecting and the next listener must not end the process.
    socket.on('error', () => {});
  }
}
