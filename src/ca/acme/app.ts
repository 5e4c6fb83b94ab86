/** The ACME server's routes, and what holds for every request: bounds, JWS, nonces, problems. */
import type { HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { explain } from '../../base/errors.ts';
import * as accountHandlers from './account-handlers.ts';
import type { Account } from './accounts.ts';
import * as certificateHandlers from './certificate-handlers.ts';
import * as handlers from './handlers.ts';
import type { Asked, AskedByAccount, AskedByKey, Reply, Services } from './handlers.ts';
import { openRequest } from './jws.ts';
import type { Opened } from './jws.ts';
import type { Nonces } from './nonces.ts';
import { AcmeProblem } from './problem.ts';
import { getRenewalInfo } from './renewal-handlers.ts';
import { directoryView } from './views.ts';

/** A hundred names and the largest RSA key need half of this. */
const LARGEST_BODY = 64 * 1024;

const TERMS = `This CA belongs to whoever runs it. What it issues is good for those who trust its root.\n`;

interface Env {
  Bindings: HttpBindings;
}
type Ctx = Context<Env>;

export type AcmeApp = Hono<Env>;

/** The application; `services` is all it knows. */
export function acmeApp(services: Services, nonces: Nonces): AcmeApp {
  const app = new Hono<Env>();
  const routes = new Routes(services, nonces);

  app.use(async (c, next) => {
    await next();
    c.header('link', `<${services.urls.directory}>;rel="index"`, { append: true });
    c.header('cache-control', 'no-store');
  });
  app.use(bodyLimit({ maxSize: LARGEST_BODY, onError: tooLarge }));

  app.get('/directory', (c) => c.json(directoryView(services.urls, services.externalAccountRequired)));
  app.get('/terms', (c) => c.text(TERMS));
  app.get('/renewal-info/:id', async (c) =>
    reply(c, await getRenewalInfo(services, c.req.param('id')), nonces),
  );
  app.on(['GET', 'HEAD'], '/new-nonce', (c) => {
    c.header('replay-nonce', nonces.issue());
    return c.body(null, c.req.method === 'HEAD' ? 200 : 204);
  });

  app.post('/new-account', routes.byKey(accountHandlers.newAccount));
  app.post('/account/:account', routes.byAccount(accountHandlers.account));
  app.post('/account/:account/orders', routes.byAccount(handlers.listOrders));
  app.post('/key-change', routes.byAccount(accountHandlers.keyChange));
  app.post('/new-order', routes.byAccount(handlers.newOrder));
  app.post('/order/:order', routes.byAccount(handlers.getOrder));
  app.post('/order/:order/finalize', routes.byAccount(certificateHandlers.finalize));
  app.post('/authorization/:order/:index', routes.byAccount(handlers.authorization));
  app.post('/challenge/:order/:index/:type', routes.byAccount(handlers.challenge));
  app.post('/certificate/:serial', routes.byAccount(handlers.getCertificate));
  app.post('/revoke-certificate', routes.byEither(certificateHandlers.revoke));

  app.notFound((c) => problemReply(c, unknownPath(c.req.method, c.req.path), nonces));
  app.onError((error, c) => problemReply(c, asProblem(error, services), nonces));
  return app;
}

class Routes {
  readonly #services: Services;
  readonly #nonces: Nonces;

  constructor(services: Services, nonces: Nonces) {
    this.#services = services;
    this.#nonces = nonces;
  }

  byAccount(handle: (services: Services, asked: AskedByAccount) => Reply | Promise<Reply>) {
    return this.#route((asked, { claim }) => {
      if ('jwk' in claim) throw new AcmeProblem('malformed', 'this is asked with kid, not with jwk');
      return handle(this.#services, { ...asked, account: this.#account(claim.kid) });
    });
  }

  byKey(handle: (services: Services, asked: AskedByKey) => Reply | Promise<Reply>) {
    return this.#route((asked, { claim }) => {
      if ('kid' in claim) throw new AcmeProblem('malformed', 'this is asked with jwk, not with kid');
      return handle(this.#services, { ...asked, jwk: claim.jwk });
    });
  }

  byEither(handle: typeof certificateHandlers.revoke) {
    return this.#route((asked, { claim }) =>
      handle(this.#services, asked, 'kid' in claim ? { account: this.#account(claim.kid) } : claim),
    );
  }

  #route(handle: (asked: Asked, opened: Opened) => Reply | Promise<Reply>) {
    return async (c: Ctx): Promise<Response> => {
      const type = c.req.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
      if (type !== 'application/jose+json') {
        throw new AcmeProblem('malformed', 'requests are application/jose+json', { status: 415 });
      }
      const path = c.env.incoming.url ?? '';
      const opened = await openRequest(await c.req.text(), {
        url: this.#services.urls.base + path,
        nonces: this.#nonces,
        accountKey: (kid) => this.#account(kid).jwk,
      });
      const asked = {
        payload: opened.payload,
        params: c.req.param() as Record<string, string>,
        query: new URLSearchParams(path.split('?', 2)[1]),
        accept: c.req.header('accept') ?? '',
      };
      return reply(c, await handle(asked, opened), this.#nonces);
    };
  }

  #account(kid: string): Account {
    const { accounts, urls } = this.#services;
    const account = accounts.get(urls.accountId(kid) ?? '');
    if (!account) throw new AcmeProblem('accountDoesNotExist', 'there is no account of that URL');
    if (account.status === 'deactivated') throw accountHandlers.deactivated();
    return account;
  }
}

function reply(c: Ctx, { status = 200, headers, body }: Reply, nonces: Nonces): Response {
  const all = { 'replay-nonce': nonces.issue(), ...headers };
  if (body === undefined) return c.newResponse(null, status as 200, all);
  if (typeof body === 'string') return c.newResponse(body, status as 200, all);
  return c.newResponse(JSON.stringify(body), status as 200, { 'content-type': 'application/json', ...all });
}

function problemReply(c: Ctx, problem: AcmeProblem, nonces: Nonces): Response {
  return c.newResponse(JSON.stringify(problem.document), problem.status as 400, {
    'content-type': 'application/problem+json',
    ...(c.req.method === 'POST' && { 'replay-nonce': nonces.issue() }),
    ...problem.headers,
  });
}

function asProblem(error: unknown, { logger }: Services): AcmeProblem {
  if (error instanceof AcmeProblem) return error;
  logger.error(`a request failed: ${explain(error)}`);
  return new AcmeProblem('serverInternal', 'the CA failed; its log says why', { cause: error });
}

function tooLarge(): never {
  throw new AcmeProblem('malformed', `requests have at most ${LARGEST_BODY} bytes`, { status: 413 });
}

/** Section 6.3: what is read with POST-as-GET is there for POST alone. */
function unknownPath(method: string, path: string): AcmeProblem {
  if (method === 'POST' || !RESOURCES.test(path)) {
    return new AcmeProblem('malformed', 'there is no such resource', { status: 404 });
  }
  const detail = `${method} is not possible here: resources are read with POST-as-GET`;
  return new AcmeProblem('malformed', detail, { status: 405, headers: { allow: 'POST' } });
}

const RESOURCES =
  /^\/(account|order|authorization|challenge|certificate)\/|^\/(new-account|new-order|key-change|revoke-certificate)$/;
