/**
 * A client in a process of its own: `node bench/idlers.ts PORT COUNT` opens so many TLS connections, asks once on
 * each, prints `ready`, and keeps them until its standard input ends.
 */
import { once } from 'node:events';
import { connect } from 'node:tls';

/** Handshakes under way. */
const AT_ONCE = 50;
const [port = 0, count = 0] = process.argv.slice(2).map(Number);
const request = 'GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n';
let opened = 0;

async function open(): Promise<void> {
  while (opened++ < count) {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false });
    socket.on('error', (error) => {
      console.error(error.message);
      process.exit(1);
    });
    await once(socket, 'secureConnect');
    socket.write(request);
    await once(socket, 'data');
    socket.resume();
    socket.once('close', () => {
      console.error('closed by the server');
      process.exit(1);
    });
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, open));
process.stdout.write('ready\n');
process.stdin.resume().once('end', () => process.exit(0));
