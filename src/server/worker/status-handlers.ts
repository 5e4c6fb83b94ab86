/** From an HTTP exchange to the views of the status, which the engine is asked for. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { HostSettings, Section, Settings } from '../../config/settings.ts';
import type { Exchange, Handler } from '../../http/exchange.ts';
import type { StatusAnswer, StatusHandler } from '../../status/answers.ts';
import type { StatusSource } from '../../status/document.ts';
import type { RelayCalls } from '../calls.ts';
import type { Peer } from '../peer.ts';

/** How long the engine may take for an answer, ms. */
const PATIENCE = 10_000;

const AWAY =
  'The engine, which knows the status, does not answer at the moment. Certificates go on being served; try again in a few seconds.\n';

export interface StatusHandlerParts {
  readonly supervisor: Pick<Peer<RelayCalls>, 'call'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The handlers by SetHandler's name; their code is loaded by loadStatusViews(). */
export class StatusHandlers {
  readonly byName: Readonly<Record<string, Handler>>;
  readonly #parts: StatusHandlerParts;
  #views: Readonly<Record<string, StatusHandler>> = {};

  constructor(parts: StatusHandlerParts) {
    this.#parts = parts;
    const names = ['md-status', 'certificate-status', 'server-status', 'latchkey-metrics'];
    this.byName = Object.fromEntries(
      names.map((name) => [name, (exchange: Exchange) => this.#answer(name, exchange)]),
    );
  }

  /** While the program's files can certainly be read; most configurations have no use for pages. */
  async load(settings: Settings): Promise<void> {
    const { jsonHandlers } = await import('../../status/json-handlers.ts');
    const more = hasStatusPages(settings) ? await import('../../status/page-handlers.ts') : undefined;
    this.#views = { ...this.#views, ...jsonHandlers, ...more?.pageHandlers };
  }

  async #answer(name: string, exchange: Exchange): Promise<void> {
    const { method } = exchange;
    if (method !== 'GET' && method !== 'HEAD') {
      exchange.response.setHeader('Allow', 'GET, HEAD');
      return exchange.fail(405);
    }
    const view = this.#views[name];
    if (!view) return exchange.fail(500, `the handler ${name} is not loaded`);
    try {
      await send(exchange, await view(requestOf(exchange), this.#source()));
    } catch (error) {
      if (exchange.response.headersSent) throw error;
      this.#parts.logger.warn(`${name}: no status from the engine: ${explain(error)}`);
      await send(exchange, { status: 503, type: 'text/plain', headers: { 'Retry-After': '5' }, body: AWAY });
    }
  }

  #source(): StatusSource {
    const { supervisor, clock } = this.#parts;
    return {
      status: (query) => inTime(clock, supervisor.call('status', query)),
      metrics: () => inTime(clock, supervisor.call('metrics', undefined)),
    };
  }
}

function requestOf(exchange: Exchange): Parameters<StatusHandler>[0] {
  const { path, rawPath, query, host, hostname, settings } = exchange;
  const { serverStatus, certificateCheck } = settings.md;
  return {
    path,
    rawPath,
    query: new URLSearchParams(query),
    managedDomain: host.managedDomain,
    hostname,
    showsDomains: serverStatus,
    check: certificateCheck,
  };
}

async function send({ response, method }: Exchange, answer: StatusAnswer): Promise<void> {
  const { body } = answer;
  const headers = {
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...answer.headers,
    'Content-Type': answer.type,
    ...(typeof body === 'string' ? { 'Content-Length': String(Buffer.byteLength(body)) } : {}),
  };
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.statusCode = answer.status;
  if (method === 'HEAD') return void response.end();
  if (typeof body === 'string') return void response.end(body);
  const out: Writable = response;
  for await (const piece of body) {
    if (out.destroyed) return;
    if (!out.write(piece)) await Promise.race([once(out, 'drain'), once(out, 'close')]);
  }
  out.end();
}

async function inTime<T>(clock: Clock, asked: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const late = clock.sleep(PATIENCE, { signal: stop.signal }).then((): never => {
    throw new Error(`the engine takes longer than ${PATIENCE / 1000} s`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([asked, late]);
  } finally {
    stop.abort();
  }
}

const PAGES: ReadonlySet<string | undefined> = new Set(['server-status', 'latchkey-metrics']);

function hasStatusPages({ base, hosts }: Settings): boolean {
  return [base, ...hosts].some(
    ({ directory, sections }: HostSettings) => PAGES.has(directory.handler) || sections.some(showsPages),
  );
}

function showsPages({ settings, sections }: Section): boolean {
  return PAGES.has(settings.handler) || sections.some(showsPages);
}
