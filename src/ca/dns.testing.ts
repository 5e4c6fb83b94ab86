/** A DNS server small enough to read, over UDP on loopback: A, AAAA and TXT. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import type { TestContext } from 'node:test';

const types: Readonly<Record<number, 'A' | 'TXT' | 'AAAA'>> = { 1: 'A', 16: 'TXT', 28: 'AAAA' };

export interface TestDns {
  /** ADDRESS:PORT */
  readonly server: string;
  /** `TYPE name` to answers; nothing there is NXDOMAIN. */
  readonly records: Map<string, readonly string[]>;
  /** 0 answers, 2 says SERVFAIL, undefined stays silent. */
  code: 0 | 2 | undefined;
}

export async function startDns(t: TestContext): Promise<TestDns> {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const dns: TestDns = { server: `127.0.0.1:${socket.address().port}`, records: new Map(), code: 0 };
  serve(socket, dns);
  return dns;
}

function serve(socket: Socket, dns: TestDns): void {
  socket.on('message', (query, { port, address }) => {
    if (dns.code === undefined) return;
    const { name, end } = readName(query);
    const type = types[query.readUInt16BE(end)] ?? 'A';
    const known = dns.records.get(`${type} ${name}`);
    const answers = (dns.code === 0 && known) || [];
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8180 | (dns.code || (known ? 0 : 3)), 2);
    head.writeUInt16BE(answers.length, 6);
    head.writeUInt32BE(0, 8);
    const records = answers.map((text) => record(query.readUInt16BE(end), data(type, text)));
    socket.send(Buffer.concat([head, query.subarray(12, end + 4), ...records]), port, address);
  });
}

function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

/** The name is a pointer to the question's. */
function record(type: number, content: Buffer): Buffer {
  const head = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 1, 0, content.length]);
  return Buffer.concat([head, content]);
}

function data(type: 'A' | 'TXT' | 'AAAA', text: string): Buffer {
  if (type === 'A') return Buffer.from(text.split('.').map(Number));
  if (type === 'AAAA') return Buffer.concat([Buffer.alloc(15), Buffer.from([1])]);
  // In two strings: a record may come in parts.
  const half = text.length >> 1;
  const parts = [text.slice(0, half), text.slice(half)];
  return Buffer.concat(parts.map((part) => Buffer.concat([Buffer.from([part.length]), Buffer.from(part)])));
}
