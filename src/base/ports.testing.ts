/** Ports for what can't choose its own: a configuration, a program that is told where to listen. */
import { createServer } from 'node:net';

/**
 * Below those that Linux chooses from (`ip_local_port_range`) for connections and for who listens at port 0: what it
 * gave and got back could be another test's by the time that it is listened at.
 */
const FIRST = 10_000;
const COUNT = 22_000;

/** Test files run side by side, in processes of their own: each begins elsewhere. */
let next = (process.pid * 64) % COUNT;

/** Free ports of 127.0.0.1, different from each other and from those of earlier calls. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = FIRST + (next++ % COUNT);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
