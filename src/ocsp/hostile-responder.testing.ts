/** A responder that misbehaves as told. Untold it is an honest one that knows every certificate of its CA. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { id_pkix_ocsp_nonce, OCSPRequest } from '@peculiar/asn1-ocsp';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import type { Clock } from '../base/clock.ts';
import { type Answer, makeOcspResponse, ocspRefusal, type OcspTestCa } from '../pki/ocsp.testing.ts';

/** A request as it was seen. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Upper-case hex, as certificates have it. */
  readonly serial: string;
  /** Of the request, if it has one. */
  readonly nonce: Buffer | undefined;
  /** The clock's time, ms. */
  readonly at: number;
}

export type Reply = (response: ServerResponse, seen: Seen) => void | Promise<void>;

const HOUR = 3_600_000;

export class HostileResponder implements AsyncDisposable {
  readonly seen: Seen[] = [];
  /** Answers all requests, until undefined is set. */
  always: Reply | undefined;
  /** What honest answers say. Times are ms from now. */
  honest: Partial<Omit<Answer, 'thisUpdate' | 'nextUpdate'>> & { from?: number; life?: number } = {};
  readonly #ca: OcspTestCa;
  readonly #clock: Clock;
  readonly #queue: Reply[] = [];
  readonly #server = createServer((request, response) => {
    this.#serve(request, response).catch(() => response.destroy());
  });

  /** On loopback, at a port of the system's choice. */
  static async start(ca: OcspTestCa, clock: Clock): Promise<HostileResponder> {
    const responder = new HostileResponder(ca, clock);
    await once(responder.#server.listen(0, '127.0.0.1'), 'listening');
    return responder;
  }

  private constructor(ca: OcspTestCa, clock: Clock) {
    this.#ca = ca;
    this.#clock = clock;
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/ocsp`;
  }

  /** Answers the next requests, one reply each. */
  next(...replies: Reply[]): void {
    this.#queue.push(...replies);
  }

  /** Answers with a response that is as told and else honest. */
  saying(over: HostileResponder['honest'], headers: Record<string, string> = {}): Reply {
    return async (response, seen) => send(response, await this.#response(seen, over), headers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: path = '', headers } = request;
    const der =
      method === 'POST'
        ? await buffer(request)
        : Buffer.from(decodeURIComponent(path.replace(/^\/ocsp\//, '')), 'base64');
    const seen = { method, path, headers, ...contentOf(der), at: this.#clock.now() };
    this.seen.push(seen);
    const told = this.#queue.shift() ?? this.always ?? this.saying(this.honest);
    await told(response, seen);
  }

  #response({ serial, at }: Seen, over: HostileResponder['honest']): Promise<Buffer> {
    const { from = 0, life = 72 * HOUR, ...answer } = over;
    return makeOcspResponse({
      issuer: this.#ca.certificate,
      leaf: Buffer.from(serial, 'hex'),
      signer: this.#ca,
      thisUpdate: at + from,
      nextUpdate: at + from + life,
      ...answer,
    });
  }
}

function contentOf(der: Buffer): Pick<Seen, 'serial' | 'nonce'> {
  try {
    const { requestList, requestExtensions } = AsnConvert.parse(der, OCSPRequest).tbsRequest;
    const serial = Buffer.from(requestList[0]?.reqCert.serialNumber ?? new ArrayBuffer(0));
    const value = requestExtensions?.find(({ extnID }) => extnID === id_pkix_ocsp_nonce)?.extnValue;
    const nonce = value && Buffer.from(AsnConvert.parse(value.buffer, OctetString).buffer);
    return { serial: serial.toString('hex').toUpperCase(), nonce };
  } catch {
    return { serial: '', nonce: undefined };
  }
}

function send(response: ServerResponse, body: Buffer, headers: Record<string, string>): void {
  response.writeHead(200, { 'content-type': 'application/ocsp-response', ...headers }).end(body);
}

export const reply = {
  status:
    (status: number, headers: Record<string, string> = {}): Reply =>
    (response) => {
      response.writeHead(status, headers).end();
    },
  html: ((response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!DOCTYPE html><h1>Log in</h1>');
  }) satisfies Reply,
  refusal:
    (status: Parameters<typeof ocspRefusal>[0]): Reply =>
    (response) =>
      send(response, ocspRefusal(status), {}),
  huge: ((response) => {
    response.writeHead(200).end(Buffer.alloc(5 * 2 ** 20, 0x30));
  }) satisfies Reply,
  redirect:
    (location: string): Reply =>
    (response) => {
      response.writeHead(302, { location }).end();
    },
  reset: ((response) => {
    response.socket?.resetAndDestroy();
  }) satisfies Reply,
  /** Says nothing, ever. */
  silence: (() => {}) satisfies Reply,
  /** Begins, and never ends. */
  drip: ((response) => {
    response.writeHead(200, { 'content-length': '2000' }).write('0');
  }) satisfies Reply,
} as const;
