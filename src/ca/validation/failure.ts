/** What a failed connection is called in a problem's detail, and in which words. */
import { isIPv6 } from 'node:net';
import { escapeControls } from '../../base/log.ts';
import { systemCode } from '../../base/errors.ts';

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network unreachable',
  EADDRNOTAVAIL: 'no such address here',
  ETIMEDOUT: 'timed out',
  EPIPE: 'connection closed',
  HPE_HEADER_OVERFLOW: 'its header is too large',
};

export function describe(error: unknown): string {
  if (error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')) {
    return 'timed out';
  }
  const known = words[systemCode(error) ?? ''];
  if (known !== undefined || !(error instanceof Error)) return known ?? quote(String(error));
  // OpenSSL's message is a line of its sources; the reason is a sentence.
  return quote('reason' in error && typeof error.reason === 'string' ? error.reason : error.message);
}

/** What came from the network, fit for a message. */
export function quote(text: string, length = 120): string {
  return escapeControls(text.length > length ? `${text.slice(0, length)}…` : text);
}

export function endpoint(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}
