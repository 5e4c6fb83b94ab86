/**
 * What Node itself does in the supervisor when a child sends a message of Node's own: node:cluster binds
 * whatever address a worker asks for (any port, any path of a Unix socket) by root's rights, and an
 * acknowledgement that nobody waits for ends the process by an assertion. Here a worker gets the ports of the
 * configuration and nothing else, and nothing gets through that Node's side of a child would not send.
 *
 * What is listened to (`internalMessage`) Node names in its documentation and doesn't describe; binding.test.ts
 * tries what it does.
 */
import type { ChildProcess } from 'node:child_process';

/** Refuses what isn't for one of `ports`, or isn't Node's, by ending the child: it isn't ours any more. */
export function guardBinding(child: ChildProcess, ports: () => ReadonlySet<number>): void {
  const listeners = child.listeners('internalMessage');
  child.removeAllListeners('internalMessage');
  child.on('internalMessage', (message: unknown, handle: unknown) => {
    if (isAllowed(message, child, ports())) {
      for (const listener of listeners) Reflect.apply(listener, child, [message, handle]);
    } else child.kill('SIGKILL');
  });
}

type Message = Readonly<Record<string, unknown>>;

/** What a worker of node:cluster says besides its wish for a server. */
const HARMLESS: ReadonlySet<unknown> = new Set(['online', 'listening', 'close', 'exitedAfterDisconnect']);

function isAllowed(message: unknown, child: ChildProcess, ports: ReadonlySet<number>): boolean {
  const { cmd, act } = message as Message;
  if (cmd === 'NODE_HANDLE_ACK' || cmd === 'NODE_HANDLE_NACK') return awaitsAcknowledgement(child);
  if (cmd !== 'NODE_CLUSTER') return false;
  return HARMLESS.has(act) || (act === 'queryServer' && isForPort(message as Message, ports));
}

/** A socket was sent that the child has not acknowledged: Node keeps a queue from then on. */
function awaitsAcknowledgement(child: ChildProcess): boolean {
  return Array.isArray((child as { _handleQueue?: unknown })._handleQueue);
}

function isForPort({ address, addressType, port, fd }: Message, ports: ReadonlySet<number>): boolean {
  const isTcp = addressType === 4 || addressType === 6;
  const isText = typeof address === 'string' || address === null || address === undefined;
  return isTcp && isText && fd === undefined && typeof port === 'number' && ports.has(port);
}
