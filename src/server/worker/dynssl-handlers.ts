/** SetHandler dynssl-status and dynssl-flush: what is cached for names, and how to forget it. */
import { explain } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { Exchange, Handler } from '../../http/exchange.ts';
import type { RelayCalls } from '../calls.ts';
import type { Peer } from '../peer.ts';
import { dynsslStatus } from './dynssl-text.ts';

type Supervisor = Pick<Peer<Pick<RelayCalls, 'dynamicStatus' | 'flushNames'>>, 'call'>;

export function dynsslHandlers(supervisor: Supervisor, clock: Clock): Readonly<Record<string, Handler>> {
  return {
    'dynssl-status': async (exchange) => {
      if (exchange.method !== 'GET' && exchange.method !== 'HEAD') return refuse(exchange, 'GET, HEAD');
      const status = await asked(exchange, () => supervisor.call('dynamicStatus', undefined));
      if (status) send(exchange, 200, dynsslStatus(status, clock.now()));
    },
    'dynssl-flush': async (exchange) => {
      if (exchange.method !== 'POST') return refuse(exchange, 'POST');
      if (isOfAnotherSite(exchange)) {
        return send(exchange, 403, 'A page of another site may not flush anything\n');
      }
      const [, , ...more] = exchange.path.split('/');
      const what = more.at(-1) ?? '';
      if (what === '') {
        return send(exchange, 400, 'Say what to flush: POST …/all, or …/NAME\n');
      }
      const name = what === 'all' ? undefined : what;
      const outcome = await asked(exchange, () => supervisor.call('flushNames', name));
      if (!outcome) return;
      if (outcome.problem === undefined) send(exchange, 200, `flushed: ${what}\n`);
      else send(exchange, 500, `not flushed: ${outcome.problem}\n`);
    },
  };
}

async function asked<Answer>(exchange: Exchange, ask: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await ask();
  } catch (error) {
    await exchange.fail(503, `dynssl: ${explain(error)}`);
    return undefined;
  }
}

/** A form or script of any page can send a POST to an address that only this machine may ask (CSRF): browsers say whose. */
function isOfAnotherSite({ request: { headers }, authority }: Exchange): boolean {
  const { origin } = headers;
  return origin !== undefined && URL.parse(origin)?.host !== authority.toLowerCase();
}

function refuse(exchange: Exchange, allowed: string): void {
  exchange.response.setHeader('Allow', allowed);
  send(exchange, 405, `${exchange.method} does nothing here, ${allowed} does\n`);
}

function send({ response }: Exchange, status: number, text: string): void {
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.setHeader('Content-Length', String(Buffer.byteLength(text)));
  response.setHeader('Cache-Control', 'no-store');
  response.statusCode = status;
  response.end(text);
}
