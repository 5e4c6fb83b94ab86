/** What can happen between us and a certificate store, in an administrator's words. */
import { errors } from 'undici';
import { LatchkeyError, explain, systemCode } from '../../base/errors.ts';

export class StoreFault extends LatchkeyError<'store-fault'> {
  /** Whether it counts as one of the failures that open the breaker. */
  readonly counts: boolean;

  constructor(message: string, { counts = true, ...options }: ErrorOptions & { counts?: boolean } = {}) {
    super('store-fault', message, options);
    this.counts = counts;
  }
}

/** Statuses that say that the store, and not the name, is the trouble. */
export function statusFault(status: number): StoreFault {
  if (status === 401) return new StoreFault('it refuses our token (401): check DynSSLStoreToken');
  if (status === 429) return new StoreFault('it has been asked too often (429)');
  if (status >= 500) return new StoreFault(`it answers with status ${status}`);
  if (status >= 300 && status < 400) {
    return new StoreFault(
      `it redirects (status ${status}), which is not followed: name the new place in DynSSLStoreURL`,
      {
        counts: false,
      },
    );
  }
  return new StoreFault(`it answers with status ${status}`, { counts: false });
}

/** Names a failure of undici, node:net, node:tls or the HTTP parser, or of what an answer was read by. */
export function storeFault(error: unknown): StoreFault {
  if (error instanceof StoreFault) return error;
  if (error instanceof LatchkeyError) return new StoreFault(explain(error), { cause: error });
  return new StoreFault(describe(innermostCode(error)), { cause: error });
}

const UNTRUSTED = /^(?:CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|INVALID_CA|HOSTNAME_MISMATCH)/;

function describe(code: string): string {
  if (UNTRUSTED.test(code)) {
    return `its own certificate is not trusted (${code}): for a private CA, name its root in DynSSLStoreCAFile`;
  }
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') return `the TLS handshake with it failed (${code})`;
  if (code.startsWith('HPE') || code.startsWith('ERR_HTTP2')) return `it does not speak HTTP (${code})`;
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `its name does not resolve (${code})`;
    case 'ECONNREFUSED':
      return `it refuses connections (${code})`;
    case 'ENOENT':
    case 'EACCES':
      return `its socket can't be opened (${code})`;
    case 'UND_ERR_HEADERS_OVERFLOW':
    case 'UND_ERR_RES_EXCEEDED_MAX_SIZE':
      return `it answered with more than is read (${code})`;
    default:
      return `the connection to it failed${code && ` (${code})`}`;
  }
}

/** undici wraps, and so does the racing of addresses. */
function innermostCode(error: unknown): string {
  if (error instanceof errors.HTTPParserError) return error.code ?? 'HPE';
  for (let at = error; at instanceof Error; at = at.cause) {
    const [first] = at instanceof AggregateError ? at.errors : [];
    const code = systemCode(first) ?? systemCode(at);
    if (code && code !== 'UND_ERR' && code !== 'UND_ERR_SOCKET') return code;
  }
  return systemCode(error) ?? '';
}
