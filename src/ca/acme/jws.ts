/**
 * Requests are JWS (RFC 8555 section 6.2): checked here for algorithm, nonce, URL and signature, in that order,
 * before anything they ask for is looked at.
 */
import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, flattenedVerify } from 'jose';
import type { GenericSchema, InferOutput } from 'valibot';
import * as documents from './documents.ts';
import type { Jwk, Jws } from './documents.ts';
import type { Nonces } from './nonces.ts';
import { AcmeProblem } from './problem.ts';

const algorithms = ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'RS256', 'RS384', 'RS512'];
const bindingAlgorithms = ['HS256', 'HS384', 'HS512'];
const RSA_BITS = { least: 2048, most: 8192 };

/** Who signed: a key that is in the request itself, or an account's. */
export type Claim = { readonly jwk: Jwk } | { readonly kid: string };

export interface Opened {
  readonly claim: Claim;
  /** Text of the payload; empty for POST-as-GET. */
  readonly payload: string;
}

export interface RequestChecks {
  /** The URL the request went to. */
  readonly url: string;
  readonly nonces: Nonces;
  /** The key of an account by its URL; throws the problem where there is none. */
  readonly accountKey: (kid: string) => Jwk;
}

/** Opens a request. Throws AcmeProblem. */
export async function openRequest(body: string, { url, nonces, accountKey }: RequestChecks): Promise<Opened> {
  const jws = documents.readDocument(documents.jws, body, 'the request');
  const header = readHeader(documents.requestHeader, jws);
  checkAlgorithm(header.alg, algorithms);
  if (header.nonce === undefined || !nonces.use(header.nonce)) {
    throw new AcmeProblem('badNonce', 'the nonce is unknown, used or too old');
  }
  checkUrl(header.url, url);
  const claim = claimOf(header);
  const key = 'jwk' in claim ? claim.jwk : accountKey(claim.kid);
  return { claim, payload: await verified(jws, publicKeyOf(key), algorithms) };
}

function claimOf({ jwk, kid }: { jwk?: Jwk | undefined; kid?: string | undefined }): Claim {
  if (jwk && kid === undefined) return { jwk };
  if (kid !== undefined && !jwk) return { kid };
  throw new AcmeProblem('malformed', 'the protected header has either jwk or kid');
}

/** Opens what a key change carries: signed by the new key (section 7.3.5). */
export async function openInner(text: string, url: string): Promise<{ jwk: Jwk; payload: string }> {
  const jws = documents.readDocument(documents.jws, text, 'the inner JWS');
  const header = readHeader(documents.innerHeader, jws);
  checkAlgorithm(header.alg, algorithms);
  checkUrl(header.url, url);
  return { jwk: header.jwk, payload: await verified(jws, publicKeyOf(header.jwk), algorithms) };
}

/**
 * Checks an external account binding (section 7.3.4): a MAC over the account's key. `macKey` gives the key by
 * its identifier. Gives the identifier.
 */
export async function openBinding(
  jws: Jws,
  { url, jwk, macKey }: { url: string; jwk: Jwk; macKey: (kid: string) => KeyObject | undefined },
): Promise<string> {
  const header = readHeader(documents.bindingHeader, jws);
  checkAlgorithm(header.alg, bindingAlgorithms);
  checkUrl(header.url, url);
  const key = macKey(header.kid);
  if (!key) throw new AcmeProblem('unauthorized', 'the external account is unknown');
  const payload = await verified(jws, key, bindingAlgorithms);
  const bound = documents.readDocument(documents.jwk, payload, 'the bound key');
  if ((await thumbprint(bound)) === (await thumbprint(jwk))) return header.kid;
  throw new AcmeProblem('malformed', 'the external account binding is for another key');
}

/** RFC 7638, SHA-256. */
export function thumbprint(jwk: Jwk): Promise<string> {
  return calculateJwkThumbprint(jwk);
}

/** The key itself. Throws AcmeProblem `badPublicKey` where it is none, or too weak or too large. */
export function publicKeyOf(jwk: Jwk): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: jwk, format: 'jwk' });
  } catch (cause) {
    throw new AcmeProblem('badPublicKey', 'the key can not be read', { cause });
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits === undefined || (bits >= RSA_BITS.least && bits <= RSA_BITS.most)) return key;
  const range = `${RSA_BITS.least} to ${RSA_BITS.most} bits`;
  throw new AcmeProblem('badPublicKey', `RSA keys have ${range} here, this one has ${bits}`);
}

function readHeader<Schema extends GenericSchema>(schema: Schema, jws: Jws): InferOutput<Schema> {
  const text = Buffer.from(jws.protected, 'base64url').toString();
  return documents.readDocument(schema, text, 'the protected header');
}

function checkAlgorithm(alg: string, allowed: readonly string[]): void {
  if (allowed.includes(alg)) return;
  const detail = `the algorithm ${JSON.stringify(alg.slice(0, 32))} is not accepted`;
  throw new AcmeProblem('badSignatureAlgorithm', detail, { members: { algorithms: allowed } });
}

function checkUrl(claimed: string, actual: string): void {
  if (claimed === actual) return;
  const detail = `the request is signed for ${JSON.stringify(claimed.slice(0, 200))}, and came to ${actual}`;
  throw new AcmeProblem('unauthorized', detail, { status: 401 });
}

async function verified(
  { protected: header, payload: sent, signature }: Jws,
  key: KeyObject,
  allowed: string[],
): Promise<string> {
  try {
    const { payload } = await flattenedVerify({ protected: header, payload: sent, signature }, key, {
      algorithms: allowed,
    });
    return Buffer.from(payload).toString();
  } catch (cause) {
    throw new AcmeProblem('malformed', 'the signature does not verify', { cause });
  }
}
