/** Entry of a worker process: says what it offers to the supervisor and waits to be told to begin. */
import type { RelayCalls, WorkerCalls } from '../calls.ts';
import { endWithParent } from '../child.ts';
import { Peer, type Handlers } from '../peer.ts';
import { Worker } from './worker.ts';

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
