/**
 * A CA that misbehaves as told. Untold it is an honest one that believes everything: each challenge that is answered
 * is valid, each CSR gets its certificate. It verifies no signature and no nonce: what real CAs do is Pebble's part.
 */
import { once } from 'node:events';
import { createServer, ServerResponse, type IncomingMessage } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { issueFor } from './issue.testing.ts';

export type Endpoint =
  | 'directory'
  | 'newNonce'
  | 'renewalInfo'
  | 'newAccount'
  | 'account'
  | 'newOrder'
  | 'order'
  | 'authorization'
  | 'challenge'
  | 'finalize'
  | 'certificate';

/** A request as the CA saw it. */
export interface Seen {
  readonly endpoint: Endpoint | undefined;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Of the JWS: its protected header and payload (undefined for POST-as-GET). */
  readonly protected: Readonly<Record<string, unknown>>;
  readonly payload: unknown;
}

export type Reply = (response: ServerResponse, seen: Seen) => void;

export interface HostileCa extends AsyncDisposable {
  readonly directoryUrl: string;
  readonly origin: string;
  /** All requests so far. */
  readonly seen: readonly Seen[];
  /** Answers the next requests of an endpoint, one reply each; then it is honest again. */
  next(endpoint: Endpoint, ...replies: Reply[]): void;
  /** Answers all requests of an endpoint, until undefined is given. */
  always(endpoint: Endpoint, reply: Reply | undefined): void;
  /** Answers those requests of an endpoint for which `choose` gives a reply. */
  when(endpoint: Endpoint, choose: (seen: Seen) => Reply | undefined): void;
  /** Lets the next request of an endpoint wait until the function is called that this gives. */
  hold(endpoint: Endpoint): () => void;
  /** Fulfilled when an endpoint has been asked `count` times in all. */
  asked(endpoint: Endpoint, count?: number): Promise<void>;
}

export interface HostileCaOptions {
  /** PEM; with them it speaks https. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export const reply = {
  json:
    (body: unknown, status = 200, headers: Record<string, string> = {}): Reply =>
    (response) => {
      response
        .writeHead(status, { 'content-type': 'application/json', ...headers })
        .end(JSON.stringify(body));
    },
  problem:
    (
      type: string,
      status: number,
      more: Record<string, unknown> = {},
      headers: Record<string, string> = {},
    ): Reply =>
    (response) => {
      const problem = {
        type: `urn:ietf:params:acme:error:${type}`,
        detail: `hostile ${type}`,
        status,
        ...more,
      };
      response.writeHead(status, { 'content-type': 'application/problem+json', ...headers });
      response.end(JSON.stringify(problem));
    },
  /** Any body of any type. */
  raw:
    (body: string, type: string, status = 200, headers: Record<string, string> = {}): Reply =>
    (response) => {
      response.writeHead(status, { 'content-type': type, ...headers }).end(body);
    },
  html: (status = 200): Reply => reply.raw('<!DOCTYPE html><html><h1>Hello</h1></html>', 'text/html', status),
  redirect:
    (location: string, status = 302): Reply =>
    (response) => {
      response.writeHead(status, { location }).end();
    },
  /** Takes the request and says nothing, ever. */
  silence: (() => {}) satisfies Reply,
  /** For a request among others that get another reply. */
  honest: (() => {}) satisfies Reply as Reply,
  /** Does what it is asked for, and says nothing of it, ever. */
  lost: (() => {}) satisfies Reply as Reply,
  /** Half an answer, and then nothing. */
  stall: ((response) => {
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
      .write('{"status":');
  }) satisfies Reply,
  /** Half an answer, and the connection is gone. */
  cut: ((response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
    response.write('{"status":', () => response.destroy());
  }) satisfies Reply,
  reset: ((response) => {
    response.socket?.resetAndDestroy();
  }) satisfies Reply,
} as const;

interface Authz {
  readonly identifier: { readonly type: string; readonly value: string };
  valid: boolean;
  /** Deactivated. */
  given?: boolean;
}

interface OrderState {
  readonly authorizations: readonly Authz[];
  chain?: string;
}

/** On loopback, at a port of the system's choice. */
export async function startHostileCa(options: HostileCaOptions = {}): Promise<HostileCa> {
  const ca = new Ca();
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    ca.serve(request, response).catch(() => response.destroy());
  };
  const server = options.tls ? createSecureServer(options.tls, listener) : createServer(listener);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  ca.origin = `${options.tls ? 'https' : 'http'}://localhost:${port}`;
  return {
    origin: ca.origin,
    directoryUrl: `${ca.origin}/directory`,
    seen: ca.seen,
    next: (endpoint, ...replies) => {
      ca.queued.set(endpoint, [...(ca.queued.get(endpoint) ?? []), ...replies]);
    },
    always: (endpoint, reply) => {
      if (reply) ca.standing.set(endpoint, reply);
      else ca.standing.delete(endpoint);
    },
    when: (endpoint, choose) => void ca.choices.set(endpoint, choose),
    hold: (endpoint) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      ca.held.set(endpoint, [...(ca.held.get(endpoint) ?? []), promise]);
      return resolve;
    },
    asked: async (endpoint, count = 1) => {
      while (ca.seen.filter((seen) => seen.endpoint === endpoint).length < count)
        await ca.nextRequest.promise;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

class Ca {
  origin = '';
  window = { start: '2027-01-20T00:00:00Z', end: '2027-01-22T00:00:00Z' };
  readonly seen: Seen[] = [];
  readonly queued = new Map<Endpoint, Reply[]>();
  readonly standing = new Map<Endpoint, Reply>();
  readonly choices = new Map<Endpoint, (seen: Seen) => Reply | undefined>();
  readonly held = new Map<Endpoint, Promise<void>[]>();
  nextRequest = Promise.withResolvers<void>();
  readonly #orders: OrderState[] = [];
  #nonces = 0;

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    const { method = '', headers } = request;
    const body = method === 'POST' ? (JSON.parse(await text(request)) as Record<string, string>) : {};
    const seen: Seen = {
      endpoint: endpointOf(path),
      method,
      path,
      headers,
      protected: (decode(body['protected']) ?? {}) as Record<string, unknown>,
      payload: decode(body['payload']),
    };
    response.setHeader('replay-nonce', `nonce-${++this.#nonces}`);
    const told =
      seen.endpoint &&
      (this.queued.get(seen.endpoint)?.shift() ??
        this.choices.get(seen.endpoint)?.(seen) ??
        this.standing.get(seen.endpoint));
    this.seen.push(seen);
    this.nextRequest.resolve();
    this.nextRequest = Promise.withResolvers();
    if (seen.endpoint) await this.held.get(seen.endpoint)?.shift();
    if (told === reply.lost) await this.#honest(new ServerResponse(request), seen);
    else if (told && told !== reply.honest) told(response, seen);
    else await this.#honest(response, seen);
  }

  async #honest(response: ServerResponse, { endpoint, path, payload }: Seen): Promise<void> {
    const [, , order = '', index = ''] = path.split('/');
    const state = this.#orders[Number(order)];
    const given = payload as Record<string, unknown> | undefined;
    const json = (body: unknown, status = 200, location?: string) =>
      reply.json(body, status, location ? { location: this.origin + location } : {})(response, {} as Seen);

    if (endpoint === 'directory') return json(this.#directory());
    if (endpoint === 'newNonce') return void response.writeHead(200).end();
    if (endpoint === 'renewalInfo') return json({ suggestedWindow: this.window });
    if (endpoint === 'newAccount') {
      return json({ status: 'valid', contact: given?.['contact'] }, 201, '/account/1');
    }
    if (endpoint === 'account')
      return json({ status: given?.['status'] ?? 'valid', contact: given?.['contact'] });
    if (endpoint === 'newOrder') {
      const identifiers = (given?.['identifiers'] ?? []) as Authz['identifier'][];
      const created = { authorizations: identifiers.map((identifier) => ({ identifier, valid: false })) };
      const id = this.#orders.push(created) - 1;
      return json(this.#order(id, created), 201, `/order/${id}`);
    }
    if (!state) return void response.writeHead(404).end();
    const authz = state.authorizations[Number(index)];
    if (endpoint === 'order') return json(this.#order(Number(order), state));
    if (endpoint === 'authorization' && given?.['status'] === 'deactivated' && authz) authz.given = true;
    if (endpoint === 'authorization' && authz) return json(this.#authorization(order, index, authz));
    if (endpoint === 'challenge' && authz) {
      authz.valid = true;
      return json(this.#authorization(order, index, authz).challenges[0]);
    }
    if (endpoint === 'finalize') {
      state.chain = await issueFor(Buffer.from(String(given?.['csr']), 'base64url'));
      return json(this.#order(Number(order), state));
    }
    return reply.raw(state.chain ?? '', 'application/pem-certificate-chain')(response, {} as Seen);
  }

  #directory() {
    const url = (path: string) => this.origin + path;
    return {
      newNonce: url('/new-nonce'),
      newAccount: url('/new-account'),
      newOrder: url('/new-order'),
      revokeCert: url('/revoke-cert'),
      keyChange: url('/key-change'),
      renewalInfo: url('/renewal-info'),
      meta: { termsOfService: url('/terms') },
    };
  }

  #order(id: number, { authorizations, chain }: OrderState) {
    const ready = authorizations.every(({ valid }) => valid);
    return {
      status: chain ? 'valid' : ready ? 'ready' : 'pending',
      identifiers: authorizations.map(({ identifier }) => identifier),
      authorizations: authorizations.map((_, index) => `${this.origin}/authz/${id}/${index}`),
      finalize: `${this.origin}/finalize/${id}`,
      ...(chain && { certificate: `${this.origin}/cert/${id}` }),
    };
  }

  #authorization(order: string, index: string, { identifier, valid, given }: Authz) {
    const status = given ? 'deactivated' : valid ? 'valid' : 'pending';
    const wildcard = identifier.value.startsWith('*.');
    return {
      status,
      identifier: { ...identifier, value: identifier.value.replace(/^\*\./, '') },
      ...(wildcard && { wildcard }),
      challenges: ['http-01', 'tls-alpn-01', 'dns-01'].map((type) => ({
        type,
        status,
        url: `${this.origin}/challenge/${order}/${index}/${type}`,
        token: `token-${order}-${index}-${type}`,
      })),
    };
  }
}

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  directory: 'directory',
  'new-nonce': 'newNonce',
  'renewal-info': 'renewalInfo',
  'new-account': 'newAccount',
  account: 'account',
  'new-order': 'newOrder',
  order: 'order',
  authz: 'authorization',
  challenge: 'challenge',
  finalize: 'finalize',
  cert: 'certificate',
};

function endpointOf(path: string): Endpoint | undefined {
  return ENDPOINTS[path.split('/')[1] ?? ''];
}

function decode(part: string | undefined): unknown {
  return part ? JSON.parse(Buffer.from(part, 'base64url').toString()) : undefined;
}
