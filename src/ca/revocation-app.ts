/**
 * Where anybody asks what was revoked, over plain HTTP: both answers are signed, and asking over TLS would want to
 * know first whether the CA's own certificate was revoked (RFC 5280 section 8). OCSP as RFC 6960 appendix A has it.
 */
import type { HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { explain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { RevocationList } from './crl.ts';
import { writeError } from './ocsp.ts';
import type { Responder, StatusAnswer } from './responder.ts';

/** Sixteen certificates take half of this. */
const LARGEST_REQUEST = 4 * 1024;
/** Seconds that caches may keep an answer: a revocation should be heard of soon. */
const MAX_AGE = 3600;

export interface RevocationServices {
  readonly responder: Responder;
  readonly revocationList: RevocationList;
  readonly logger: Logger;
}

export type RevocationApp = Hono<{ Bindings: HttpBindings }>;

export function revocationApp({ responder, revocationList, logger }: RevocationServices): RevocationApp {
  const app: RevocationApp = new Hono();
  const answer = async (der: Uint8Array) => statusReply(await responder.answer(der));

  const bounded = bodyLimit({
    maxSize: LARGEST_REQUEST,
    onError: (c) => c.text(`requests have at most ${LARGEST_REQUEST} bytes\n`, 413),
  });
  app.post('/ocsp', bounded, async (c) => {
    const type = c.req.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
    if (type !== 'application/ocsp-request') return c.text('requests are application/ocsp-request\n', 415);
    return answer(new Uint8Array(await c.req.arrayBuffer()));
  });
  // As it was sent: slashes of base64 come both bare and escaped.
  app.get('/ocsp/*', (c) => answer(fromPath((c.env.incoming.url ?? '').slice('/ocsp/'.length))));
  app.get('/crl', async () => {
    const { der, ...period } = await revocationList.current();
    return reply(der, 'application/pkix-crl', period);
  });
  app.notFound((c) => c.text('here are /ocsp and /crl; ACME is spoken over https\n', 404));
  app.onError((error, c) => {
    logger.error(`a question about revocation failed: ${explain(error)}`);
    if (!c.req.path.startsWith('/ocsp')) return c.text('the CA failed; its log says why\n', 500);
    return statusReply({ der: writeError('internalError'), period: undefined });
  });
  return app;
}

/** Nothing, which is no request, for what is not base64. */
function fromPath(path: string): Uint8Array {
  try {
    return Buffer.from(decodeURIComponent(path), 'base64');
  } catch {
    return Buffer.alloc(0);
  }
}

function statusReply({ der, period }: StatusAnswer): Response {
  return reply(der, 'application/ocsp-response', period);
}

/** RFC 5019 section 6.2. */
function reply(der: Buffer, type: string, period: StatusAnswer['period']): Response {
  const caching: Record<string, string> = period
    ? {
        'cache-control': `max-age=${MAX_AGE}, public, no-transform, must-revalidate`,
        'last-modified': new Date(period.thisUpdate).toUTCString(),
        expires: new Date(period.nextUpdate).toUTCString(),
      }
    : { 'cache-control': 'no-store' };
  return new Response(new Uint8Array(der), { headers: { 'content-type': type, ...caching } });
}
