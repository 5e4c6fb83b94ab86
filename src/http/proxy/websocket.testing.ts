/** A WebSocket backend in the small, on raw sockets: RFC 6455 as far as an echo needs it. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { listen } from './proxy.testing.ts';

export interface EchoBackend {
  /** `127.0.0.1:port` */
  readonly host: string;
  /** Heads of the handshakes. */
  readonly heads: string[];
  readonly sockets: Set<Socket>;
}

/** Accepts every handshake (`extra`: header lines of the 101) and sends each message back. */
export async function echoBackend(t: TestContext, extra = ''): Promise<EchoBackend> {
  const heads: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    let waiting: Buffer = Buffer.alloc(0);
    let open = false;
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk]);
      if (!open) {
        const end = waiting.indexOf('\r\n\r\n');
        if (end === -1) return;
        const head = waiting.toString('latin1', 0, end);
        waiting = waiting.subarray(end + 4);
        heads.push(head);
        socket.write(accept(head, extra));
        open = true;
      }
      waiting = echo(socket, waiting);
    });
  });
  return { host: `127.0.0.1:${await listen(t, server)}`, heads, sockets };
}

function accept(head: string, extra: string): string {
  const key = /^sec-websocket-key: (\S+)/im.exec(head)?.[1] ?? '';
  const hash = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${hash}\r\n${extra}\r\n`;
}

/** Answers all whole frames and gives back the rest. */
function echo(socket: Socket, bytes: Buffer): Buffer {
  for (;;) {
    const frame = readFrame(bytes);
    if (!frame) return bytes;
    const { opcode, payload, length } = frame;
    bytes = bytes.subarray(length);
    socket.write(Buffer.concat([frameHead(opcode, payload.length), payload]));
    if (opcode === 8) socket.end();
  }
}

/** A client's frame (masked); undefined until it is whole. */
function readFrame(bytes: Buffer): { opcode: number; payload: Buffer; length: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes.readUInt8(1) & 0x7f;
  const extended = { 126: 2, 127: 8 }[short] ?? 0;
  const start = 2 + extended + 4;
  if (bytes.length < start) return undefined;
  const long = extended === 2 ? bytes.readUInt16BE(2) : Number(extended === 8 && bytes.readBigUInt64BE(2));
  const size = extended === 0 ? short : long;
  if (bytes.length < start + size) return undefined;
  const mask = bytes.subarray(start - 4, start);
  const payload = Buffer.from(bytes.subarray(start, start + size));
  for (let i = 0; i < size; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0);
  return { opcode: bytes.readUInt8(0) & 0x0f, payload, length: start + size };
}

function frameHead(opcode: number, size: number): Buffer {
  if (size < 126) return Buffer.from([0x80 | opcode, size]);
  const head = Buffer.alloc(size < 0x10000 ? 4 : 10);
  head.writeUInt8(0x80 | opcode, 0);
  head.writeUInt8(size < 0x10000 ? 126 : 127, 1);
  if (size < 0x10000) head.writeUInt16BE(size, 2);
  else head.writeBigUInt64BE(BigInt(size), 2);
  return head;
}
