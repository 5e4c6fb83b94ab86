/** What can happen below HTTP, in an administrator's words. */
import { errors } from 'undici';
import { systemCode } from '../base/errors.ts';
import { AcmeError, type AcmeErrorCode } from './errors.ts';

/** OpenSSL's and Node's names for a certificate that isn't trusted. */
const UNTRUSTED =
  /^(?:CERT_|ERR_TLS_CERT|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|UNABLE_TO_(?:GET_ISSUER|VERIFY)|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/;

/** Names a failure of undici, node:net, node:tls or the HTTP parser. */
export function transportFault(cause: unknown, url: string): AcmeError {
  const [code, message] = describe(innermostCode(cause), new URL(url));
  return new AcmeError(code, `The CA at ${url} ${message}`, { cause });
}

/** undici wraps, and so does the racing of addresses. */
function innermostCode(error: unknown): string {
  if (error instanceof errors.HTTPParserError) return error.code ?? 'HPE';
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = systemCode(at);
    if (code && code !== 'UND_ERR' && code !== 'UND_ERR_SOCKET') return code;
  }
  return systemCode(error) ?? '';
}

function describe(code: string, { hostname, host }: URL): [AcmeErrorCode, string] {
  if (UNTRUSTED.test(code)) {
    return [
      'acme-tls',
      `shows a certificate that is not trusted (${code}): for a private CA, name its root certificate in MDCACertificateFile`,
    ];
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return ['acme-tls', `does not speak TLS (${code}): is the port right?`];
  }
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO')
    return ['acme-tls', `failed the TLS handshake (${code})`];
  if (code.startsWith('HPE'))
    return ['acme-invalid-response', `does not speak HTTP (${code}): is the port right?`];
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return ['acme-unreachable', `can't be found: the name ${hostname} does not resolve (${code})`];
    case 'ECONNREFUSED':
      return ['acme-unreachable', `can't be reached: ${host} refuses connections (${code})`];
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return ['acme-timeout', `can't be reached: connecting took too long (${code})`];
    case 'UND_ERR_RES_EXCEEDED_MAX_SIZE':
    case 'UND_ERR_HEADERS_OVERFLOW':
      return ['acme-invalid-response', `answered with more than is read (${code})`];
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return ['acme-unreachable', `closed the connection before its answer was complete (${code})`];
    default:
      return ['acme-unreachable', `can't be reached${code && ` (${code})`}`];
  }
}
