/**
 * The server's side of mod_dynssl's store protocol: `GET …/NAME` gives `{"cert": PEM chain, "key": PEM}`, 404 for a
 * name without a certificate, 401 without the token, 304 where `If-None-Match` names what there is.
 */
import { createHash } from 'node:crypto';
import { isLoopbackHost } from '../base/addresses.ts';
import { bears } from '../base/bearer.ts';
import { serverNameOf } from '../certificates/source.ts';

/** A certificate with its key, in PEM. The key is plain. */
export interface Pair {
  /** The leaf, then its chain. */
  readonly cert: string;
  readonly key: string;
}

/** What there is for a name (of serverNameOf()): the certificate that covers it, under whatever name it is kept. */
export type FindPair = (name: string) => Promise<Pair | undefined>;

export interface StoreQuestion {
  readonly method: string;
  /** Decoded, without query; its last segment is the name. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly ifNoneMatch: string | undefined;
  /** Over plain http: the Host header, `''` without one. Undefined over https. */
  readonly plainHost: string | undefined;
}

export interface StoreReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty for 304, and what HEAD would have. */
  readonly body: string;
}

/**
 * Answers a question. `digest`: of the token that it must have (base/bearer.ts); without one anybody is answered.
 * Rejects with what `find` rejects with.
 */
export async function answerStore(
  question: StoreQuestion,
  digest: string | undefined,
  find: FindPair,
): Promise<StoreReply> {
  const { method, path, authorization, ifNoneMatch, plainHost } = question;
  if (method !== 'GET' && method !== 'HEAD') {
    return refusal(405, `${method} does nothing here, GET does`, { Allow: 'GET, HEAD' });
  }
  // Before the name is looked at: who has no token learns of no name.
  if (digest !== undefined && !bears(authorization, digest)) {
    return refusal(401, 'the bearer token is missing or wrong', { 'WWW-Authenticate': 'Bearer' });
  }
  if (digest === undefined && plainHost !== undefined && !isLoopbackHost(plainHost)) {
    return refusal(403, 'without a token this is answered over http as 127.0.0.1, [::1] or localhost only');
  }
  const name = serverNameOf(path.slice(path.lastIndexOf('/') + 1));
  const pair = name === undefined ? undefined : await find(name);
  if (!pair) return refusal(404, 'there is no certificate for this name');
  const headers = { ETag: tagOf(pair), 'Cache-Control': 'no-store' };
  if (matches(ifNoneMatch, headers.ETag)) return { status: 304, headers, body: '' };
  return json(200, { cert: pair.cert, key: pair.key }, headers);
}

/** Of the chain alone: a certificate has one key only, and nothing of it need be in a header. */
function tagOf({ cert }: Pair): string {
  return `"${digest(cert).toString('base64url')}"`;
}

/** Weak comparison (RFC 9110, 13.1.2). */
function matches(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  const tags = header.split(',').map((one) => one.trim().replace(/^W\//, ''));
  return tags.includes(tag) || tags.includes('*');
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function refusal(status: number, error: string, headers: Readonly<Record<string, string>> = {}): StoreReply {
  return json(status, { error }, { 'Cache-Control': 'no-store', ...headers });
}

function json(status: number, document: object, headers: Readonly<Record<string, string>>): StoreReply {
  const body = `${JSON.stringify(document, undefined, 2)}\n`;
  const about = { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(body)) };
  return { status, headers: { ...about, ...headers }, body };
}
