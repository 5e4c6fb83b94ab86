/** ARI (RFC 9773): when to renew, and which certificate an order replaces. */
import { Certificate } from '../../pki/certificate.ts';
import type { IssuedCertificate } from '../certificates.ts';
import type { Identifier } from '../identifiers.ts';
import { askAgain, renewalInfo, serialNamed } from '../renewal-info.ts';
import type { Account } from './accounts.ts';
import type { Reply, Services } from './handlers.ts';
import { AcmeProblem } from './problem.ts';

/** Asked by anybody: what is told is no secret, and clients ask without an account. */
export async function getRenewalInfo(services: Services, id: string): Promise<Reply> {
  const known = await certificateNamed(services, id);
  if (!known) throw new AcmeProblem('malformed', 'there is no such certificate, or no more', { status: 404 });
  const leaf = new Certificate(known.chainPem);
  const revoked = await services.revocations.get(known.serial);
  return { headers: { 'retry-after': `${askAgain(leaf)}` }, body: renewalInfo(leaf, revoked) };
}

/** What a certificate is put in the place of, checked as section 5 has it. Throws AcmeProblem. */
export async function checkReplaced(
  services: Services,
  {
    account,
    identifiers,
    replaces,
  }: { account: Account; identifiers: readonly Identifier[]; replaces: string },
): Promise<void> {
  const known = await certificateNamed(services, replaces);
  if (!known) throw new AcmeProblem('malformed', 'replaces: there is no such certificate, or no more');
  if (known.account !== account.id) {
    throw new AcmeProblem('unauthorized', "replaces: the certificate is another account's");
  }
  const { names } = new Certificate(known.chainPem);
  if (!identifiers.some(({ value }) => names.includes(value)))
    throw new AcmeProblem('malformed', 'replaces: the certificate has none of the names');
  const isOrdered = services.orders.ofAccount(account.id).some((order) => order.replaces === replaces);
  if (isOrdered || known.replacedBy !== undefined) {
    throw new AcmeProblem('alreadyReplaced', 'replaces: another order replaces the certificate');
  }
}

/** Written down for good, where the order is forgotten in an hour. */
export async function markReplaced(services: Services, replaces: string, by: string): Promise<void> {
  const known = await certificateNamed(services, replaces);
  if (known) await services.certificates.put({ ...known, replacedBy: by });
}

async function certificateNamed(
  { authority, certificates }: Services,
  id: string,
): Promise<IssuedCertificate | undefined> {
  const { certificate } = await authority.issuer();
  const serial = serialNamed(id, certificate);
  return serial === undefined ? undefined : certificates.get(serial);
}
