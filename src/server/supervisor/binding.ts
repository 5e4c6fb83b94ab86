/**
 * node:cluster has the supervisor bind whatever address a worker asks for: any port, any path of a Unix socket,
 * by root's rights. Here a worker gets the ports of the configuration and nothing else.
 *
 * What is listened to (`internalMessage`) Node names in its documentation and doesn't describe; binding.test.ts
 * tries what it does.
 */
import type { ChildProcess } from 'node:child_process';

/** Refuses what isn't for one of `ports`, by ending the child: it isn't ours any more. */
export function guardBinding(child: ChildProcess, ports: () => ReadonlySet<number>): void {
  const listeners = child.listeners('internalMessage');
  child.removeAllListeners('internalMessage');
  child.on('internalMessage', (message: unknown, handle: unknown) => {
    if (isAllowed(message, ports())) {
      for (const listener of listeners) Reflect.apply(listener, child, [message, handle]);
    } else child.kill('SIGKILL');
  });
}

function isAllowed(message: unknown, ports: ReadonlySet<number>): boolean {
  const { act, addressType, port, fd } = message as Readonly<Record<string, unknown>>;
  if (act !== 'queryServer') return true;
  const isTcp = addressType === 4 || addressType === 6;
  return isTcp && fd === undefined && typeof port === 'number' && ports.has(port);
}
