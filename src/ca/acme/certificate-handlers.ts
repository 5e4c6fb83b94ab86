/** Requests that make and unmake certificates (RFC 8555 sections 7.4 and 7.6). */
import { X509Certificate } from 'node:crypto';
import { explain } from '../../base/errors.ts';
import { readSigningRequest } from '../csr.ts';
import type { SigningRequest } from '../csr.ts';
import type { IssuedCertificate } from '../certificates.ts';
import { identifierKey } from '../identifiers.ts';
import { profiles } from '../profiles.ts';
import { isRevocationReason } from '../revocations.ts';
import type { Account } from './accounts.ts';
import * as documents from './documents.ts';
import { orderReply, ownOrder } from './handlers.ts';
import type { Asked, AskedByAccount, Reply, Services } from './handlers.ts';
import { publicKeyOf } from './jws.ts';
import type { Jwk } from './documents.ts';
import { orderStatus } from './orders.ts';
import type { Order } from './orders.ts';
import { AcmeProblem } from './problem.ts';
import { markReplaced } from './renewal-handlers.ts';

/** However short its life, a certificate can be fetched for an hour. */
const KEEP = 3_600_000;

export async function finalize(services: Services, asked: AskedByAccount): Promise<Reply> {
  const order = ownOrder(services, asked);
  const { csr } = documents.readDocument(documents.finalization, asked.payload, 'the finalization');
  if (services.finalizing.has(order.id)) return orderReply(services, order);
  if (orderStatus(order) !== 'ready') {
    throw new AcmeProblem('orderNotReady', `the order is ${orderStatus(order)}, not ready`);
  }
  const request = readRequest(csr);
  checkRequest(request, order, asked.account);
  services.finalizing.add(order.id);
  try {
    const completed = await issue(services, order, request);
    services.finalizing.delete(order.id);
    return orderReply(services, completed);
  } finally {
    services.finalizing.delete(order.id);
  }
}

/** Written down before the order is: killed in between, the order is still ready, and nobody has the first one. */
async function issue(services: Services, order: Order, { spki, mustStaple }: SigningRequest): Promise<Order> {
  const { authority, certificates, orders, urls, clock, logger } = services;
  const profile = profiles[order.profile];
  const { serial, notAfter, chainPem } = await authority.issue(order.identifiers, spki, {
    lifetime: Math.min(authority.lifetime, profile.lifetime ?? Number.POSITIVE_INFINITY),
    revocation: profile.revocable ? { ocsp: urls.ocsp, crl: urls.crl } : undefined,
    mustStaple,
  });
  const keepUntil = Math.max(notAfter, clock.now() + KEEP);
  await certificates.put({ serial, account: order.account, notAfter, keepUntil, chainPem });
  const names = order.identifiers.map(({ value }) => value).join(' ');
  logger.info(`issued ${serial} for ${names}, valid to ${new Date(notAfter).toISOString()}`);
  if (order.replaces !== undefined) await markReplaced(services, order.replaces, serial);
  const completed = await orders.complete(order.id, serial);
  if (completed) return completed;
  throw new AcmeProblem('malformed', 'the order is gone', { status: 404 });
}

function readRequest(csr: string): SigningRequest {
  try {
    return readSigningRequest(Buffer.from(csr, 'base64url'));
  } catch (cause) {
    throw new AcmeProblem('badCSR', explain(cause), { cause });
  }
}

function checkRequest(
  { identifiers, spki, mustStaple }: SigningRequest,
  order: Order,
  account: Account,
): void {
  const asked = new Set(identifiers.map(identifierKey));
  const ordered = new Set(order.identifiers.map(identifierKey));
  if (asked.size !== ordered.size || [...asked].some((key) => !ordered.has(key))) {
    const detail = `the request is for ${[...asked].join(' ')}, the order for ${[...ordered].join(' ')}`;
    throw new AcmeProblem('badCSR', detail.slice(0, 2000));
  }
  if (mustStaple && !profiles[order.profile].revocable) {
    throw new AcmeProblem('badCSR', `must-staple is not possible with the profile ${order.profile}`);
  }
  // Section 11.1: else a server's key could speak for the account.
  if (spkiOf(account.jwk).equals(spki)) throw new AcmeProblem('badCSR', 'the key is the key of the account');
}

function spkiOf(jwk: Jwk): Buffer {
  return publicKeyOf(jwk).export({ format: 'der', type: 'spki' });
}

/** `by` is the account, or the certificate's own key. */
export async function revoke(
  services: Services,
  asked: Asked,
  by: { readonly account: Account } | { readonly jwk: Jwk },
): Promise<Reply> {
  const { certificate, reason } = documents.readDocument(
    documents.revocation,
    asked.payload,
    'the revocation',
  );
  const { known, leaf } = await issued(services, Buffer.from(certificate, 'base64url'));
  const allowed =
    'account' in by
      ? by.account.id === known.account
      : spkiOf(by.jwk).equals(leaf.publicKey.export({ format: 'der', type: 'spki' }));
  if (!allowed) throw new AcmeProblem('unauthorized', 'neither your account nor your key may revoke that');
  if (!isRevocationReason(reason)) {
    throw new AcmeProblem('badRevocationReason', `${reason} is no reason to revoke a certificate`);
  }
  const { serial, notAfter } = known;
  const isFirst = await services.revocations.add({ serial, at: services.clock.now(), reason, notAfter });
  if (!isFirst) throw new AcmeProblem('alreadyRevoked', 'the certificate is revoked already');
  services.logger.notice(`revoked ${known.serial} (${leaf.subjectAltName ?? ''}), reason ${reason}`);
  return {};
}

async function issued(
  { certificates }: Services,
  der: Buffer,
): Promise<{ known: IssuedCertificate; leaf: X509Certificate }> {
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(der);
  } catch {
    throw new AcmeProblem('malformed', 'that is not a certificate in DER');
  }
  const known = await certificates.get(leaf.serialNumber);
  if (known && new X509Certificate(known.chainPem).raw.equals(leaf.raw)) return { known, leaf };
  throw new AcmeProblem('malformed', 'that certificate is not from here, or has ended', { status: 404 });
}
