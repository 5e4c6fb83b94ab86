/** What the status handlers have in common: a request as they need it, an answer as they give it. */
import type { StatusQuery, StatusSource } from './document.ts';

export interface StatusRequest {
  /** Decoded, without query. */
  readonly path: string;
  /** As it was sent: links of a page begin with it. */
  readonly rawPath: string;
  readonly query: URLSearchParams;
  /** Name of the managed domain whose certificates the virtual host serves. */
  readonly managedDomain: string | undefined;
  /** As the client calls it. */
  readonly hostname: string;
  /** MDServerStatus. */
  readonly showsDomains: boolean;
  /** MDCertificateCheck. */
  readonly check: { readonly name: string; readonly url: string };
}

export interface StatusAnswer {
  readonly status: number;
  readonly type: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** In pieces where it may be long. */
  readonly body: string | AsyncIterable<string>;
}

export type StatusHandler = (request: StatusRequest, source: StatusSource) => Promise<StatusAnswer>;

/** Domains are fetched in pieces of this size, so that ten thousand of them hold up no process. */
const PIECE = 200;

/** All domains there are, by name, with their stapling and without the logs of their jobs. */
export async function* allDomains(source: StatusSource, more: Pick<StatusQuery, 'accounts'> = {}) {
  for (let offset = 0; ; offset += PIECE) {
    const { domains, stapling } = await source.status({ ...more, offset, limit: PIECE });
    for (const domain of domains) yield { domain, stapling };
    if (domains.length < PIECE) return;
  }
}

export function json(document: unknown): StatusAnswer {
  return { status: 200, type: 'application/json', body: JSON.stringify(document, undefined, 2) };
}

/** The last segment of a path, lower case; empty where the path ends in a slash. */
export function lastSegment(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).toLowerCase();
}
