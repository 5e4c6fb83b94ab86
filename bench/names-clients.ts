/** Clients that name a server, and look at whose certificate they are shown. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { plainHello } from '../src/tls/hello.testing.ts';

/** A full handshake; rejects where another certificate is shown. */
export async function handshake(port: number, name: string): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', servername: name, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    const shown = socket.getPeerX509Certificate()?.subjectAltName;
    if (shown !== `DNS:${name}`) throw new Error(`${name} is shown ${shown}`);
  } finally {
    socket.destroy();
  }
}

export async function firstHandshake(port: number, name: string): Promise<void> {
  for (const end = performance.now() + 600_000; performance.now() < end; await delay(5)) {
    try {
      await handshake(port, name);
      return;
    } catch {
      // Not yet.
    }
  }
  throw new Error('no handshake within ten minutes');
}

/**
 * ms from a ClientHello, sent over a connection that stands, to the server's certificate: what the server takes,
 * without a client's own work. Rejects where another certificate is shown.
 */
export async function answerTime(port: number, name: string): Promise<number> {
  const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true });
  try {
    await once(socket, 'connect');
    const began = performance.now();
    socket.write(plainHello(name));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    if (!answer.includes(name)) throw new Error(`${name} is shown another certificate`);
    return performance.now() - began;
  } finally {
    socket.destroy();
  }
}
