/** ClientHellos made by hand, and those of real clients. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface HelloParts {
  /** The server_name extension's host name, octets as Latin-1; undefined: no extension. */
  readonly sni?: string;
  readonly alpn?: readonly string[];
  /** Further extensions: type and data. */
  readonly extensions?: readonly (readonly [number, Buffer])[];
  readonly cipherSuites?: readonly number[];
}

/** The body of a ClientHello message. */
export function helloBody({ sni, alpn, extensions = [], cipherSuites = [0x1301] }: HelloParts): Buffer {
  const all = [...extensions];
  if (sni !== undefined) {
    all.push([0, vector(2, Buffer.concat([Buffer.of(0), vector(2, Buffer.from(sni, 'latin1'))]))]);
  }
  if (alpn) {
    const names = alpn.map((name) => vector(1, Buffer.from(name, 'latin1')));
    all.push([16, vector(2, Buffer.concat(names))]);
  }
  return Buffer.concat([
    Buffer.of(3, 3),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32)),
    vector(2, codes(cipherSuites)),
    vector(1, Buffer.of(0)),
    vector(2, Buffer.concat(all.map(([type, data]) => Buffer.concat([codes([type]), vector(2, data)])))),
  ]);
}

/**
 * A whole ClientHello of TLS 1.2, where the certificate that is shown is in the clear: ECDHE-ECDSA, X25519 and P-256,
 * ECDSA with SHA-256.
 */
export function plainHello(sni: string): Buffer {
  const extensions = [
    [10, vector(2, codes([29, 23]))],
    [11, vector(1, Buffer.of(0))],
    [13, vector(2, codes([0x0403]))],
  ] as const;
  return records(helloMessage(helloBody({ sni, cipherSuites: [0xc02b], extensions })));
}

/** A handshake message of type client_hello. */
export function helloMessage(body: Buffer): Buffer {
  const header = Buffer.of(1, 0, 0, 0);
  header.writeUIntBE(body.length, 1, 3);
  return Buffer.concat([header, body]);
}

/** Puts a message into TLS records of these sizes; the last takes what is left. */
export function records(message: Buffer, sizes: readonly number[] = []): Buffer {
  const found: Buffer[] = [];
  let rest = message;
  for (const size of [...sizes, rest.length]) {
    const part = rest.subarray(0, Math.min(size, 2 ** 14));
    rest = rest.subarray(part.length);
    if (part.length > 0) found.push(Buffer.concat([Buffer.of(22, 3, 1), vector(2, part)]));
  }
  return Buffer.concat(found);
}

/** What the handshake records of a stream carry. */
export function messageOf(stream: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < stream.length; at += 5 + stream.readUInt16BE(at + 3)) {
    parts.push(stream.subarray(at + 5, at + 5 + stream.readUInt16BE(at + 3)));
  }
  return Buffer.concat(parts);
}

export function codes(numbers: readonly number[]): Buffer {
  return Buffer.concat(numbers.map((number) => Buffer.of(number >> 8, number & 0xff)));
}

export function vector(lengthOctets: 1 | 2, content: Buffer): Buffer {
  const length = Buffer.alloc(lengthOctets);
  length.writeUIntBE(content.length, 0, lengthOctets);
  return Buffer.concat([length, content]);
}

/** Whether a command is there. */
export function installed(command: string): boolean {
  return spawnSync(command, ['--version']).error === undefined;
}

/** What a command sends first to the port that it is given. */
export async function captureHello(command: string, args: (port: string) => string[]): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = String((server.address() as AddressInfo).port);
  const client = spawn(command, args(port), { stdio: ['pipe', 'ignore', 'ignore'] });
  try {
    const [socket] = (await once(server, 'connection')) as [Socket];
    const chunks: Buffer[] = [];
    let wanted = 5;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      const all = Buffer.concat(chunks);
      if (all.length >= 5) wanted = 5 + all.readUInt16BE(3);
      if (all.length >= wanted) break;
    }
    return Buffer.concat(chunks).subarray(0, wanted);
  } finally {
    server.close();
    client.kill('SIGKILL');
  }
}
