/**
 * Calls between two of our processes over Node's IPC channel: a request has a name and one argument, an answer
 * is a value or an error (its code, message and nothing else travel). A peer that dies rejects what waits for
 * it with PeerError `peer-gone`.
 */
import type { ChildProcess } from 'node:child_process';
import { LatchkeyError } from '../base/errors.ts';

/** Names to functions: what one side offers to the other. */
export type Calls = { readonly [name: string]: (argument: never) => unknown };

/** The handlers of `C`: sync or async. */
export type Handlers<C extends Calls> = {
  readonly [K in keyof C]: (argument: Parameters<C[K]>[0]) => ReturnType<C[K]> | Promise<ReturnType<C[K]>>;
};

export class PeerError extends LatchkeyError<'peer-gone' | 'peer-failed' | 'peer-unknown-call'> {
  /** The code of the error on the other side. */
  readonly remoteCode: string | undefined;

  constructor(code: 'peer-gone' | 'peer-failed' | 'peer-unknown-call', message: string, remoteCode?: string) {
    super(code, message);
    this.remoteCode = remoteCode;
  }
}

/** Whether a call failed because the other process has ended. */
export function isGone(error: unknown): boolean {
  return error instanceof PeerError && error.code === 'peer-gone';
}

/** Either end of an IPC channel: a child for its parent, `process` for a child. */
type Channel = Pick<ChildProcess, 'on' | 'send' | 'connected'> | NodeJS.Process;

type Message =
  | { readonly latchkey: 'call'; readonly id: number; readonly name: string; readonly argument: unknown }
  | { readonly latchkey: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly latchkey: 'failure'; readonly id: number; readonly code: string; readonly message: string };

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One peer: `Theirs` is what the other side offers. */
export class Peer<Theirs extends Calls> {
  readonly #channel: Channel;
  readonly #handlers: Calls;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #gone = false;

  constructor(channel: Channel, handlers: Calls) {
    this.#channel = channel;
    this.#handlers = handlers;
    channel.on('message', (message: unknown) => {
      if (isMessage(message)) this.#receive(message);
    });
    channel.on('disconnect', () => this.#close());
  }

  /** Rejects with PeerError. The other side's time is not bounded here: it is one of ours. */
  async call<K extends keyof Theirs & string>(
    name: K,
    argument: Parameters<Theirs[K]>[0],
  ): Promise<ReturnType<Theirs[K]>> {
    if (this.#gone || !this.#channel.connected) throw gone();
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    this.#send({ latchkey: 'call', id, name, argument });
    return (await promise) as ReturnType<Theirs[K]>;
  }

  #send(message: Message): void {
    if (this.#gone) return;
    // The callback keeps a failed send from becoming an 'error' event; 'disconnect' follows and tells all.
    this.#channel.send?.(message, undefined, undefined, (error: Error | null) => {
      if (error && message.latchkey === 'call') this.#settle(message.id, (w) => w.reject(gone()));
    });
  }

  #receive(message: Message): void {
    if (message.latchkey === 'call') {
      void this.#serve(message.id, message.name, message.argument);
      return;
    }
    this.#settle(message.id, (waiting) => {
      if (message.latchkey === 'answer') waiting.resolve(message.value);
      else waiting.reject(new PeerError('peer-failed', message.message, message.code));
    });
  }

  async #serve(id: number, name: string, argument: unknown): Promise<void> {
    const handler = Object.hasOwn(this.#handlers, name)
      ? (this.#handlers[name] as (argument: unknown) => unknown)
      : undefined;
    try {
      if (!handler) throw new PeerError('peer-unknown-call', `unknown call: ${name}`);
      this.#send({ latchkey: 'answer', id, value: await handler(argument) });
    } catch (error) {
      const code = error instanceof LatchkeyError ? error.code : 'internal';
      this.#send({
        latchkey: 'failure',
        id,
        code,
        message: error instanceof Error ? error.message : String(error),
      });
    }
  }

  #settle(id: number, how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    how(waiting);
  }

  #close(): void {
    this.#gone = true;
    for (const waiting of this.#waiting.values()) waiting.reject(gone());
    this.#waiting.clear();
  }
}

function gone(): PeerError {
  return new PeerError('peer-gone', 'the other process has ended');
}

/** Another process may send anything, and an object in the place of a text would throw where it is made one. */
function isMessage(message: unknown): message is Message {
  if (typeof message !== 'object' || message === null) return false;
  const { latchkey, id, name, code, message: text } = message as Readonly<Record<string, unknown>>;
  if (typeof id !== 'number') return false;
  if (latchkey === 'call') return typeof name === 'string';
  return (
    latchkey === 'answer' || (latchkey === 'failure' && typeof code === 'string' && typeof text === 'string')
  );
}
