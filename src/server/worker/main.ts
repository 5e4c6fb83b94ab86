/** Entry of a worker process: says what it offers to the supervisor and waits to be told to begin. */
import { setFlagsFromString } from 'node:v8';
import type { RelayCalls, WorkerCalls } from '../calls.ts';
import { endWithParent } from '../child.ts';
import { Peer, type Handlers } from '../peer.ts';
import { Worker } from './worker.ts';

// Without it 64 MB of buffers begin a collection of the whole heap, which a few large answers at once keep going: a third
// of what they cost. Set here, not on the command line, where a Node.js without the flag would refuse to start.
setFlagsFromString('--external-memory-accounted-in-global-limit');

let worker: Worker | undefined;
const running = () => {
  if (!worker) throw new Error('this worker has not begun');
  return worker;
};

const calls: Handlers<WorkerCalls> = {
  begin: async (birth) => {
    worker = await Worker.begin(birth, supervisor);
  },
  prepare: (plan) => running().prepare(plan),
  commit: (generation) => running().commit(generation),
  rollback: () => running().rollback(),
  load: () => running().load,
  verify: (request) => running().verify(request),
  reopenTable: () => running().reopenTable(),
  changeTicketKeys: (keys) => running().changeTicketKeys(keys),
  stopListening: () => running().stopListening(),
  drain: () => running().drain(),
};

endWithParent();
const supervisor = new Peer<RelayCalls>(process, calls);
