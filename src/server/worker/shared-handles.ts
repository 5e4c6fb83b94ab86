/**
 * node:cluster hands out a socket even where the address was taken (the system says so late), and node:net,
 * which then sees that it is bound elsewhere, forgets to close it. The supervisor takes it for open from then
 * on, and the next try for that address ends the worker by an assertion of Node's.
 *
 * `_getServer` is Node's own; shared-handles.test.ts tries what it does.
 */
import cluster from 'node:cluster';
import { constants } from 'node:os';

interface Handle {
  getsockname?(into: { port?: number }): number;
  close(): void;
}

type GetServer = (
  server: unknown,
  options: { readonly port: number },
  done: (errno: number, handle: Handle | null) => void,
) => void;

/** Once in the life of a worker, before it listens. */
export function closeUnboundHandles(): void {
  const inner = cluster as unknown as { _getServer?: GetServer };
  const getServer = inner._getServer;
  if (!getServer) return;
  inner._getServer = (server, options, done) => {
    getServer.call(cluster, server, options, (errno, handle) => {
      if (errno !== 0 || !handle || isAt(handle, options.port)) return done(errno, handle);
      handle.close();
      done(-constants.errno.EADDRINUSE, null);
    });
  };
}

function isAt(handle: Handle, port: number): boolean {
  const bound: { port?: number } = {};
  if (port <= 0 || handle.getsockname?.(bound) !== 0) return true;
  return bound.port === port;
}
