/** What each request does once it is known who asks. One function per resource of RFC 8555 section 7. */
import type { Authority } from '../authority.ts';
import type { Certificates } from '../certificates.ts';
import type { Revocations } from '../revocations.ts';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { ExternalAccount } from '../external.ts';
import { identifierKey, readIdentifier } from '../identifiers.ts';
import type { Identifier } from '../identifiers.ts';
import { profileNamed, profileNames } from '../profiles.ts';
import type { Account, Accounts } from './accounts.ts';
import type { Jwk } from './documents.ts';
import * as documents from './documents.ts';
import type { Authorization, Order, Orders } from './orders.ts';
import { AcmeProblem } from './problem.ts';
import type { ProblemDocument } from './problem.ts';
import { checkReplaced } from './renewal-handlers.ts';
import type { Validator } from './validator.ts';
import { authorizationView, challengeView, orderView } from './views.ts';
import type { Urls } from './views.ts';

/** All that the handlers work on. */
export interface Services {
  readonly urls: Urls;
  readonly authority: Authority;
  readonly accounts: Accounts;
  readonly orders: Orders;
  readonly certificates: Certificates;
  readonly revocations: Revocations;
  readonly validator: Validator;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly externalAccountRequired: boolean;
  readonly externalAccount: ExternalAccount | undefined;
  /** Orders whose certificate is being made. */
  readonly finalizing: Set<string>;
}

/** An opened request. */
export interface Asked {
  readonly payload: string;
  /** Of the path, by name. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly accept: string;
}
export interface AskedByAccount extends Asked {
  readonly account: Account;
}
export interface AskedByKey extends Asked {
  readonly jwk: Jwk;
}

export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; a string as it is. */
  readonly body?: object | string;
}

/** Seconds after which it is worth asking again. */
const RETRY_AFTER = '1';
/** Orders on one page of an account's list. */
const PAGE = 100;

// ---- orders

export async function newOrder(services: Services, { account, payload }: AskedByAccount): Promise<Reply> {
  const wanted = documents.readDocument(documents.newOrder, payload, 'the order');
  const identifiers = readIdentifiers(wanted.identifiers);
  const profile = profileNamed(wanted.profile);
  if (!profile) {
    throw new AcmeProblem('invalidProfile', `the profiles here are ${profileNames.join(' and ')}`);
  }
  const { replaces } = wanted;
  if (replaces !== undefined) await checkReplaced(services, { account, identifiers, replaces });
  const order = await services.orders.create(account.id, { identifiers, profile, replaces });
  return { status: 201, ...orderReply(services, order) };
}

function readIdentifiers(asked: readonly { type: string; value: string }[]): Identifier[] {
  const found = new Map<string, Identifier>();
  const problems: ProblemDocument[] = [];
  for (const { type, value } of asked) {
    const identifier = readIdentifier(type, value);
    if ('wrong' in identifier) problems.push(rejected(type, value, identifier.wrong));
    else found.set(identifierKey(identifier), identifier);
  }
  if (problems.length === 0) return [...found.values()];
  const detail = problems.length === 1 ? (problems[0]?.detail ?? '') : `${problems.length} names are refused`;
  throw new AcmeProblem('rejectedIdentifier', detail, { subproblems: problems });
}

function rejected(type: string, value: string, wrong: string): ProblemDocument {
  const { document } = new AcmeProblem(
    'rejectedIdentifier',
    `${JSON.stringify(value.slice(0, 253))}: ${wrong}`,
  );
  return { type: document.type, detail: document.detail, identifier: { type: type as 'dns', value } };
}

export function getOrder(services: Services, asked: AskedByAccount): Reply {
  readOnly(asked);
  return orderReply(services, ownOrder(services, asked));
}

export function orderReply({ urls, finalizing }: Services, order: Order): Reply {
  const busy = finalizing.has(order.id);
  const validating = order.authorizations.some(isValidating);
  return {
    headers: {
      location: urls.order(order.id),
      ...((busy || validating) && { 'retry-after': RETRY_AFTER }),
    },
    body: orderView(order, urls, busy),
  };
}

export function listOrders(services: Services, asked: AskedByAccount): Reply {
  readOnly(asked);
  const { urls, orders } = services;
  checkAccount(asked);
  const start = Math.max(0, Math.trunc(Number(asked.query.get('cursor') ?? 0))) || 0;
  const all = orders.ofAccount(asked.account.id);
  const next = `${urls.account(asked.account.id)}/orders?cursor=${start + PAGE}`;
  return {
    headers: all.length > start + PAGE ? { link: `<${next}>;rel="next"` } : {},
    body: { orders: all.slice(start, start + PAGE).map(({ id }) => urls.order(id)) },
  };
}

// ---- authorizations and challenges

export async function authorization(services: Services, asked: AskedByAccount): Promise<Reply> {
  const { order, index } = ownAuthorization(services, asked);
  if (asked.payload === '') return authorizationReply(services, order, index);
  documents.readDocument(documents.authorizationUpdate, asked.payload, 'the authorization');
  const changed = await services.orders.deactivate(order.id, index);
  return authorizationReply(services, changed ?? order, index);
}

function authorizationReply({ urls }: Services, order: Order, index: number): Reply {
  const one = authorizationAt(order, index);
  return {
    headers: isValidating(one) ? { 'retry-after': RETRY_AFTER } : {},
    body: authorizationView(order, index, one, urls),
  };
}

export async function challenge(services: Services, asked: AskedByAccount): Promise<Reply> {
  const { order, index } = ownAuthorization(services, asked);
  const wanted = authorizationAt(order, index).challenges.find(({ type }) => type === asked.params['type']);
  if (!wanted) throw notFound('challenge');
  let current = order;
  if (asked.payload !== '') {
    documents.readDocument(documents.challengeResponse, asked.payload, 'the response');
    current = (await services.validator.start({ order: order.id, index, type: wanted.type })) ?? order;
  }
  const shown = authorizationAt(current, index).challenges.find(({ type }) => type === wanted.type) ?? wanted;
  const up = `<${services.urls.authorization(order.id, index)}>;rel="up"`;
  return {
    headers: { link: up, ...(shown.status === 'processing' && { 'retry-after': RETRY_AFTER }) },
    body: challengeView(current, index, shown, services.urls),
  };
}

function isValidating({ status, challenges }: Authorization): boolean {
  return status === 'pending' && challenges.some((one) => one.status === 'processing');
}

// ---- certificates

export async function getCertificate(services: Services, asked: AskedByAccount): Promise<Reply> {
  readOnly(asked);
  const known = await services.certificates.get(asked.params['serial'] ?? '');
  if (!known || known.keepUntil <= services.clock.now()) throw notFound('certificate');
  if (known.account !== asked.account.id) throw notYours('certificate');
  if (!accepts(asked.accept)) {
    throw new AcmeProblem('malformed', 'certificates are application/pem-certificate-chain', { status: 406 });
  }
  return { headers: { 'content-type': 'application/pem-certificate-chain' }, body: known.chainPem };
}

function accepts(accept: string): boolean {
  if (accept.trim() === '') return true;
  const types = accept.split(',').map((range) => range.split(';', 1)[0]?.trim().toLowerCase());
  return ['*/*', 'application/*', 'application/pem-certificate-chain'].some((type) => types.includes(type));
}

// ---- whose is it

export function ownOrder({ orders }: Services, { params, account }: AskedByAccount): Order {
  const order = orders.get(params['order'] ?? '');
  if (!order) throw notFound('order');
  if (order.account !== account.id) throw notYours('order');
  return order;
}

function ownAuthorization(services: Services, asked: AskedByAccount): { order: Order; index: number } {
  const order = ownOrder(services, asked);
  const text = asked.params['index'] ?? '';
  const index = /^\d{1,3}$/.test(text) ? Number(text) : -1;
  authorizationAt(order, index);
  return { order, index };
}

function authorizationAt(order: Order, index: number): Authorization {
  const found = order.authorizations[index];
  if (!found) throw notFound('authorization');
  return found;
}

export function checkAccount({ account, params }: AskedByAccount): void {
  if (params['account'] !== account.id) throw notYours('account');
}

/** POST-as-GET (section 6.3): the payload is empty. */
function readOnly({ payload }: Asked): void {
  if (payload !== '') throw new AcmeProblem('malformed', 'this is read with an empty payload (POST-as-GET)');
}

function notFound(what: string): AcmeProblem {
  return new AcmeProblem('malformed', `there is no such ${what}, or no more`, { status: 404 });
}

function notYours(what: string): AcmeProblem {
  return new AcmeProblem('unauthorized', `the ${what} is another account's`);
}
