/**
 * Full handshakes with one request each, eight at once, for some seconds; prints how many were done.
 *
 *     node staple-load.ts PORT NAME SECONDS status|plain
 */
import { connect } from 'node:tls';

const CLIENTS = 8;
const [port, servername, seconds, kind] = process.argv.slice(2);
const end = performance.now() + Number(seconds) * 1000;
const requestOCSP = kind === 'status';
let done = 0;

/** Fulfilled when the server has answered and closed. */
function handshake(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({
    host: '127.0.0.1',
    port: Number(port),
    servername: servername ?? '',
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    requestOCSP,
  });
  let response: Buffer | null = null;
  socket.on('OCSPResponse', (der: Buffer | null) => (response = der));
  socket.once('secureConnect', () => socket.write(`GET /index.html HTTP/1.0\r\nHost: ${servername}\r\n\r\n`));
  socket.once('error', reject);
  socket.once('close', () => {
    if (requestOCSP !== (response !== null)) reject(new Error('a response is missing, or was not asked for'));
    else resolve();
  });
  socket.resume();
  return promise;
}

async function client(): Promise<void> {
  while (performance.now() < end) {
    await handshake();
    done++;
  }
}

await Promise.all(Array.from({ length: CLIENTS }, client));
process.stdout.write(`${done}\n`);
