/**
 * What happens, as events of one Latchkey. They are published for the whole process (base/events.ts); whose they are
 * is told by the asynchronous context in which they come about.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { EventEmitter } from 'node:events';
import type { LatchkeyError } from '../base/errors.ts';
import { type Events, type EventName, subscribe } from '../base/events.ts';
import type { FailedHandshake } from './failed-handshakes.ts';
import { worded } from './words.ts';

/** Times are ms since the epoch; `domain` is the first name of a certificate. */
export interface LatchkeyEvents {
  'renewal:started': [event: Events['latchkey:renewal:started']];
  /** Each step of a renewal, in words. */
  'renewal:progress': [event: Events['latchkey:renewal:progress']];
  /** The CA has given certificates; they are in use at once, or from `validFrom` on. */
  'renewal:obtained': [event: Events['latchkey:renewal:obtained']];
  /** It is tried again at `nextRun`, if there is one. */
  'renewal:failed': [event: Events['latchkey:renewal:failed']];
  /** The next handshake has it, whichever process has obtained it. */
  'certificate:installed': [event: Events['latchkey:certificate:installed']];
  'certificate:expiring': [event: Events['latchkey:certificate:expiring']];
  'challenge:ready': [event: Events['latchkey:challenge:ready']];
  'challenge:removed': [event: Events['latchkey:challenge:removed']];
  /** There is a new response to staple. */
  'ocsp:renewed': [event: Events['latchkey:ocsp:renewed']];
  'ocsp:errored': [event: Events['latchkey:ocsp:errored']];
  /** A client came for TLS and got none: 20 events at once and 10 a second at most. */
  'handshake:failed': [event: FailedHandshake];
  /** Renewing has ended for good, by a fault in Latchkey (code `fault`). As with any emitter, nobody listening ends the program. */
  error: [error: LatchkeyError];
}

type Forwarded = Exclude<keyof LatchkeyEvents, 'error' | 'handshake:failed'>;

const names: readonly Forwarded[] = [
  'renewal:started',
  'renewal:progress',
  'renewal:obtained',
  'renewal:failed',
  'certificate:installed',
  'certificate:expiring',
  'challenge:ready',
  'challenge:removed',
  'ocsp:renewed',
  'ocsp:errored',
];

const owners = new AsyncLocalStorage<object>();

/** What comes of `task`, however late, is `owner`'s. */
export function asOwner<Result>(owner: object, task: () => Result): Result {
  return owners.run(owner, task);
}

/** Emits the events of `owner`, until disposed. */
export function forwardEvents(owner: object, emitter: EventEmitter<LatchkeyEvents>): Disposable {
  const subscriptions = new DisposableStack();
  for (const name of names) {
    subscriptions.use(
      hear(owner, `latchkey:${name}`, (event) => (emitter as EventEmitter).emit(name, worded(event))),
    );
  }
  return subscriptions;
}

/** Listens to one event of `owner`, until disposed. */
export function hear<Name extends EventName>(
  owner: object,
  name: Name,
  listener: (event: Events[Name]) => void,
): Disposable {
  return subscribe(name, (event) => {
    if (owners.getStore() === owner) listener(event);
  });
}
