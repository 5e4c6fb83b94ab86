/** Whether something that is done over and over keeps memory. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What only some of so many stretches show is no leak. */
const STRETCHES = 10;

/**
 * Octets of this process (heap and buffers) that are kept by each call of `act`, once garbage is collected. What a
 * program learns by the way (compiled code, caches that fill) shows in some stretches of `calls`; a leak shows in
 * each. So the first one counts that shows less than `enough`, or else the smallest of ten.
 */
export async function retainedBy(act: () => Promise<void>, calls: number, enough: number): Promise<number> {
  const stretch = async () => {
    for (let call = 0; call < calls; call++) await act();
    return used();
  };
  let before = await stretch();
  let least = Infinity;
  for (let again = 0; again < STRETCHES && least >= enough; again++) {
    const after = await stretch();
    least = Math.min(least, (after - before) / calls);
    before = after;
  }
  return least;
}

/** What is closed is let go of over some turns of the event loop. */
async function used(): Promise<number> {
  for (let turn = 0; turn < 20; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (turn % 5 === 4) collect();
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}
