/** A client of HTTP that says what it is told to, as slowly as the test's clock goes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import type { TestClock } from '../base/clock.testing.ts';

/** A raw client that can wait for what it is sent. */
export class Client {
  readonly socket: net.Socket;
  received = '';
  closed = false;

  constructor(port: number, socket: net.Socket = net.connect(port, '127.0.0.1')) {
    this.socket = socket.setEncoding('latin1');
    this.socket.on('data', (chunk) => (this.received += String(chunk)));
    this.socket.on('error', () => {});
    this.socket.on('close', () => (this.closed = true));
  }

  send(text: string | Buffer): Promise<void> {
    return new Promise((resolve) => this.socket.write(text, () => resolve()));
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.received)) {
      assert.ok(!this.closed, `closed after: ${this.received}`);
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')]);
    }
  }

  async end(): Promise<void> {
    if (!this.closed) await once(this.socket, 'close');
  }
}

/** A connection of this machine with itself: what was sent before is there when what is sent now has come back. */
class Wire implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #end: net.Socket;

  static async open(): Promise<Wire> {
    const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const end = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    await once(end.setNoDelay(true), 'connect');
    return new Wire(server, end);
  }

  private constructor(server: net.Server, end: net.Socket) {
    this.#server = server;
    this.#end = end;
  }

  async roundTrip(): Promise<void> {
    this.#end.write('.');
    await once(this.#end, 'data');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.destroy();
    await once(this.#server.close(), 'close');
  }
}

/** Lets time go by until the connection closes; gives how many seconds it took (at most `most`). */
export async function secondsOpen(
  clock: TestClock,
  client: Client,
  most: number,
  each?: () => Promise<void>,
) {
  await using wire = await Wire.open();
  for (let seconds = 0; seconds < most; seconds++) {
    if (client.socket.readableEnded || client.closed) return seconds;
    await each?.();
    await clock.advance(1000);
    // Turns of the event loop alone are over before a busy machine has brought what the server sent.
    for (let trips = 0; trips < 5; trips++) await wire.roundTrip();
  }
  return most;
}
