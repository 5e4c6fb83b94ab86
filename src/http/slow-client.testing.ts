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

/** Lets time go by until the connection closes; gives how many seconds it took (at most `most`). */
export async function secondsOpen(
  clock: TestClock,
  client: Client,
  most: number,
  each?: () => Promise<void>,
) {
  for (let seconds = 0; seconds < most; seconds++) {
    if (client.socket.readableEnded || client.closed) return seconds;
    await each?.();
    await clock.advance(1000);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  return most;
}
