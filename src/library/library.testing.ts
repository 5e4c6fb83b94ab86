/** A Latchkey without a CA, for tests: certificates are issued in the test's process, ports are the system's choice. */
import { once } from 'node:events';
import https from 'node:https';
import http, { type IncomingHttpHeaders } from 'node:http';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { issueFor } from '../acme/issue.testing.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { DAY, eventually } from '../domains/domains.testing.ts';
import { MemoryStore } from '../store/memory.ts';
import { Latchkey } from './latchkey.ts';
import type { LatchkeyOptions } from './options.ts';
import type { CertificateIssuer } from './own-issuer.ts';

/** Issues whatever is asked for, for 90 days from now. */
export function issuer(clock: Clock = systemClock): CertificateIssuer {
  return ({ csr }) => issueFor(csr, { notBefore: clock.now(), notAfter: clock.now() + 90 * DAY });
}

export function openLatchkey(options: Partial<LatchkeyOptions> = {}): Promise<Latchkey> {
  const store = options.storeDir === undefined ? { store: new MemoryStore() } : {};
  return Latchkey.open({
    domains: ['example.org', 'www.example.org'],
    issuer: issuer(options.clock),
    ports: { http: 0, https: 0 },
    ...store,
    ...options,
  });
}

/** Has all its certificates, and has nothing to do. */
export async function settled(latchkey: Latchkey): Promise<void> {
  await latchkey.ready();
  await eventually(() => latchkey.status().every(({ running }) => !running));
}

/** Whose certificates are of no CA, and who asks an address: what counts is the name. */
const lenient = { host: '127.0.0.1', rejectUnauthorized: false } as const;

/** A handshake; rejects where it fails. */
export async function handshake(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ ...lenient, port, servername: 'example.org', ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** Serial shown for a name. */
export async function serialAt(port: number, servername: string): Promise<string | undefined> {
  const socket = await handshake(port, { servername });
  const serial = socket.getPeerX509Certificate()?.serialNumber;
  socket.destroy();
  return serial;
}

export interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** By https where there is a servername. */
export async function get(port: number, options: https.RequestOptions): Promise<Answer> {
  const { request } = options.servername === undefined ? http : https;
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  request({ ...lenient, port, agent: false, ...options }, resolve)
    .once('error', reject)
    .end();
  const response = await promise;
  const chunks = await response.toArray();
  return {
    status: response.statusCode,
    headers: response.headers,
    body: Buffer.concat(chunks as Buffer[]).toString(),
  };
}
