/** Server CPU per handshake, of several ways to be asked, in rounds that take turns: what moves one moves all. */
import { median, type RunningPeer } from './peers.ts';

export const SERVER_CORE = 0;
export const LOAD_CORE = 1;

export interface Contestant {
  readonly name: string;
  readonly server: RunningPeer;
  /** Handshakes done in that many seconds. */
  readonly load: (seconds: number) => Promise<number>;
}

/** By name: ms CPU per handshake in each round. */
export async function takeTurns(
  contestants: readonly Contestant[],
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<Map<string, number[]>> {
  const costs = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const { name, server, load } of contestants) {
      const before = server.cpu();
      const done = await load(seconds);
      const cost = (server.cpu() - before) / done;
      costs.get(name)?.push(cost);
      console.log(`round ${round} ${name.padEnd(10)} ${done} handshakes, ${cost.toFixed(3)} ms CPU each`);
    }
  }
  return costs;
}

/** Of the rounds' ratios, one by one. */
export function medianRatio(own: readonly number[], theirs: readonly number[]): number {
  return median(own.map((cost, round) => cost / (theirs[round] ?? Number.NaN)));
}
