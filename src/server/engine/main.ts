/** Entry of the engine process: says what it offers to the supervisor and waits to be told to begin. */
import type { EngineCalls, SupervisorCalls } from '../calls.ts';
import { endWithParent } from '../child.ts';
import { Peer, type Handlers } from '../peer.ts';
import { Engine } from './engine.ts';

let beginning: Promise<Engine> | undefined;
let engine: Engine | undefined;
const running = () => {
  if (!engine) throw new Error('the engine has not begun');
  return engine;
};

const calls: Handlers<EngineCalls> = {
  begin: async (birth) => {
    beginning = Engine.begin(birth, supervisor);
    engine = await beginning;
    return engine.tableGeneration;
  },
  serve: () => running().serve(),
  prepare: (plan) => running().prepare(plan),
  commit: (generation) => running().commit(generation),
  rollback: () => running().rollback(),
  want: (setId) => running().want(setId),
  seek: (wanted) => running().names.seek(wanted),
  used: (ids) => running().names.used(ids),
  flushNames: (name) => running().names.flush(name),
  dynamicStatus: () => running().names.status(),
  findPair: (name) => running().storeServer.find(name),
  status: (query) => running().status(query),
  metrics: () => running().metrics(),
  workerDied: () => running().workerDied(),
};

endWithParent();
// Told to end while it begins, it removes all the same what it has made by then.
process.on('SIGTERM', () => {
  const ended = beginning?.then((begun) => begun[Symbol.asyncDispose]()) ?? Promise.resolve();
  ended.catch(() => {}).finally(() => process.exit(0));
});
const supervisor = new Peer<SupervisorCalls>(process, calls);
