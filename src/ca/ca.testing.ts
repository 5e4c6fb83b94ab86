/** A CA of its own for a test, and an ACME client bare enough to say wrong things. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { calculateJwkThumbprint, FlattenedSign } from 'jose';
import type { JWK } from 'jose';
import { Agent, fetch } from 'undici';
import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { silent } from '../base/log.ts';
import { createCsr } from '../pki/csr.ts';
import { startLocalCa } from './server.ts';
import type { LocalCa } from './server.ts';
import type { LocalCaSettings } from './settings.ts';

/** Why nothing can listen on ::1, or false. */
export const withoutIpv6 =
  !Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1')) &&
  'this machine has no IPv6 loopback';

export interface TestCa extends LocalCa {
  readonly dir: string;
  readonly base: string;
}

export async function temporary(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-ca-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export function settingsFor(dir: string, changes: Partial<LocalCaSettings> = {}): LocalCaSettings {
  const ports = { port: 0, httpPort: 1, tlsPort: 1 };
  const rest = { resolver: undefined, externalAccountRequired: false };
  return { address: '127.0.0.1', dir, lifetime: 3_600_000, ...ports, ...rest, ...changes };
}

/** A CA that ends with the test. */
export async function startCa(
  t: TestContext,
  { clock = systemClock, dir, ...changes }: Partial<LocalCaSettings> & { clock?: Clock } = {},
): Promise<TestCa> {
  const folder = dir ?? (await temporary(t));
  const ca = await startLocalCa(settingsFor(folder, changes), { clock, loggers: silent });
  t.after(() => ca.close());
  const { directoryUrl, rootPem } = ca;
  const close = () => ca.close();
  return {
    directoryUrl,
    rootPem,
    close,
    [Symbol.asyncDispose]: close,
    dir: folder,
    base: directoryUrl.replace(/\/directory$/, ''),
  };
}

/** A web server for http-01: answers what is in `answers`, by token. */
export interface TestWeb {
  readonly port: number;
  readonly answers: Map<string, string>;
}

export async function startWeb(t: TestContext): Promise<TestWeb> {
  const answers = new Map<string, string>();
  const server = createServer((request, response) => {
    const token = request.url?.split('/').at(-1) ?? '';
    response.writeHead(answers.has(token) ? 200 : 404).end(answers.get(token));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, answers };
}

/** PEM of a chain for a.localhost, from a CA that validates at `web`; `more` goes into the order. */
export async function certified(client: TestClient, web: TestWeb, more: object = {}): Promise<string> {
  if (client.kid === undefined) await client.register();
  const order = await client.orderWith(more, 'a.localhost');
  await client.prove(order.json.authorizations[0], 'http-01', (token, answer) => {
    web.answers.set(token, answer);
  });
  const { json } = await client.finalize(order, ['a.localhost']);
  return (await client.post(json.certificate)).text;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into any document
  readonly json: any;
}

export interface PostOptions {
  readonly header?: Record<string, unknown>;
  readonly key?: KeyObject;
  readonly headers?: Record<string, string>;
}

export class TestClient {
  readonly ca: TestCa;
  key: KeyObject;
  kid: string | undefined;
  readonly #agent: Agent;

  constructor(ca: TestCa, key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey) {
    this.ca = ca;
    this.key = key;
    this.#agent = new Agent({ connect: { ca: ca.rootPem } });
  }

  get jwk(): JWK {
    return publicJwk(this.key);
  }

  async request(
    url: string,
    init: { method?: string; body?: string; headers?: Record<string, string> } = {},
  ) {
    const response = await fetch(url, { ...init, dispatcher: this.#agent });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    const headers = response.headers as unknown as Headers;
    return { status: response.status, headers, text, json: isJson ? JSON.parse(text) : undefined } as Answer;
  }

  async nonce(): Promise<string> {
    const { headers } = await this.request(`${this.ca.base}/new-nonce`, { method: 'HEAD' });
    return headers.get('replay-nonce') ?? '';
  }

  /** Signs with kid (or jwk before there is an account); undefined is POST-as-GET. */
  async sign(
    url: string,
    payload: unknown,
    { header = {}, key = this.key }: PostOptions = {},
  ): Promise<string> {
    const who = this.kid === undefined ? { jwk: publicJwk(key) } : { kid: this.kid };
    const all = { alg: 'ES256', nonce: await this.nonce(), url, ...who, ...header };
    const text = payload === undefined ? '' : JSON.stringify(payload);
    const signed = new FlattenedSign(new TextEncoder().encode(text)).setProtectedHeader(all);
    return JSON.stringify(await signed.sign(key));
  }

  async post(path: string, payload?: unknown, options: PostOptions = {}): Promise<Answer> {
    const url = path.startsWith('https:') ? path : this.ca.base + path;
    return this.send(url, await this.sign(url, payload, options), options.headers);
  }

  send(url: string, body: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.request(url, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/jose+json', ...headers },
    });
  }

  async register(more: object = {}): Promise<Answer> {
    this.kid = undefined;
    const answer = await this.post('/new-account', { termsOfServiceAgreed: true, ...more });
    this.kid = answer.headers.get('location') ?? undefined;
    return answer;
  }

  async order(...names: string[]): Promise<Answer & { url: string }> {
    return this.orderWith({}, ...names);
  }

  /** `more` goes into the order beside its names. */
  async orderWith(more: object, ...names: string[]): Promise<Answer & { url: string }> {
    const identifiers = names.map((value) => ({ type: /^[\d.]+$|:/.test(value) ? 'ip' : 'dns', value }));
    const answer = await this.post('/new-order', { identifiers, ...more });
    return { ...answer, url: answer.headers.get('location') ?? '' };
  }

  async keyAuthorization(token: string): Promise<string> {
    return `${token}.${await calculateJwkThumbprint(this.jwk)}`;
  }

  /** Asks until the resource has left the states where one waits. */
  async settled(url: string): Promise<Answer> {
    for (;;) {
      const answer = await this.post(url);
      const { status, challenges = [] } = answer.json;
      const busy = challenges.some((one: { status: string }) => one.status === 'processing');
      if (status !== 'processing' && !(status === 'pending' && busy)) return answer;
      await systemClock.sleep(20);
    }
  }

  /** Takes on the challenge of `type` of an authorization, and waits for its end. `prepare` gets it before. */
  async prove(
    authorization: string,
    type: string,
    prepare: (token: string, keyAuthorization: string, name: string) => unknown,
  ): Promise<Answer> {
    const { challenges, identifier } = (await this.post(authorization)).json;
    const challenge = challenges.find((one: { type: string }) => one.type === type);
    await prepare(challenge.token, await this.keyAuthorization(challenge.token), identifier.value);
    await this.post(challenge.url, {});
    return this.settled(authorization);
  }

  async finalize(order: Answer, names: readonly string[], key = certificateKey()): Promise<Answer> {
    const csr = (await createCsr({ key, names })).toString('base64url');
    return this.post(order.json.finalize, { csr });
  }
}

export function publicJwk(key: KeyObject): JWK {
  const { d: _, ...open } = key.export({ format: 'jwk' }) as JWK & { d?: string };
  return open;
}

export function certificateKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
}

export function randomToken(): string {
  return randomBytes(32).toString('base64url');
}
