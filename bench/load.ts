/**
 * A client in a process of its own: `node bench/load.ts h1|h2 URL SECONDS AT-ONCE` asks for the URL again and again,
 * and prints how many answers came.
 */
import { connect } from 'node:http2';
import { Agent, get } from 'node:https';

const [protocol = 'h1', url = '', seconds = '1', atOnce = '32'] = process.argv.slice(2);
/** HTTP/2 connections that the streams are spread over. */
const SESSIONS = 4;
const end = Date.now() + Number(seconds) * 1000;
let done = 0;

function overHttp1(): () => Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: Number(atOnce), rejectUnauthorized: false });
  return () =>
    new Promise((resolve, reject) => {
      get(url, { agent, servername: 'localhost' }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
        response.resume().once('end', resolve).once('error', reject);
      }).once('error', reject);
    });
}

function overHttp2(): () => Promise<void> {
  const { origin, pathname } = new URL(url);
  const sessions = Array.from({ length: SESSIONS }, () =>
    connect(origin, {
      rejectUnauthorized: false,
      servername: 'localhost',
      settings: { initialWindowSize: 1024 * 1024 },
    }),
  );
  for (const session of sessions) session.once('connect', () => session.setLocalWindowSize(16 * 1024 * 1024));
  let next = 0;
  return () =>
    new Promise((resolve, reject) => {
      const stream = sessions[next++ % SESSIONS]?.request({ ':path': pathname });
      stream?.once('response', (headers) => {
        if (headers[':status'] !== 200) reject(new Error(`status ${headers[':status']}`));
      });
      stream?.once('end', resolve).once('error', reject).resume();
    });
}

const ask = protocol === 'h2' ? overHttp2() : overHttp1();
async function ever(): Promise<void> {
  while (Date.now() < end) {
    await ask();
    done++;
  }
}
await Promise.all(Array.from({ length: Number(atOnce) }, ever));
process.stdout.write(`${done}\n`);
process.exit(0);
