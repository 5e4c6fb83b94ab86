/** Requests about accounts (RFC 8555 section 7.3). */
import { createSecretKey } from 'node:crypto';
import { checkContacts } from './accounts.ts';
import type { Account } from './accounts.ts';
import * as documents from './documents.ts';
import type { Jwk, Jws } from './documents.ts';
import { checkAccount } from './handlers.ts';
import type { AskedByAccount, AskedByKey, Reply, Services } from './handlers.ts';
import { openBinding, openInner, publicKeyOf, thumbprint } from './jws.ts';
import { AcmeProblem } from './problem.ts';
import { accountView } from './views.ts';

export async function newAccount(services: Services, { jwk, payload }: AskedByKey): Promise<Reply> {
  const asked = documents.readDocument(documents.newAccount, payload, 'the account');
  const { accounts, urls } = services;
  const existing = await accounts.byKey(jwk);
  if (existing) return existingReply(services, existing);
  if (asked.onlyReturnExisting) throw new AcmeProblem('accountDoesNotExist', 'no account has that key');
  checkContacts(asked.contact);
  const boundTo = await binding(services, jwk, asked.externalAccountBinding);
  if (!asked.termsOfServiceAgreed) throw mustAgree(urls.terms);
  const { account, made } = await accounts.create({ jwk, contact: asked.contact, boundTo });
  if (!made) return existingReply(services, account);
  services.logger.info(`new account ${account.id} ${account.contact.join(' ')}`);
  return { ...existingReply(services, account), status: 201 };
}

function existingReply({ urls }: Services, account: Account): Reply {
  if (account.status === 'deactivated') throw deactivated();
  return { headers: { location: urls.account(account.id) }, body: accountView(account, urls) };
}

async function binding(services: Services, jwk: Jwk, jws: Jws | undefined): Promise<string | undefined> {
  if (jws) {
    const known = services.externalAccount;
    const macKey = (kid: string) =>
      kid === known?.kid ? createSecretKey(Buffer.from(known.hmac, 'base64url')) : undefined;
    return openBinding(jws, { url: services.urls.newAccount, jwk, macKey });
  }
  if (!services.externalAccountRequired) return undefined;
  throw new AcmeProblem('externalAccountRequired', 'an account here must be bound to an external account');
}

function mustAgree(terms: string): AcmeProblem {
  const link = `<${terms}>;rel="terms-of-service"`;
  return new AcmeProblem('userActionRequired', `you must agree to the terms of service, ${terms}`, {
    headers: { link },
  });
}

export async function account(services: Services, asked: AskedByAccount): Promise<Reply> {
  checkAccount(asked);
  const { accounts, orders, urls } = services;
  if (asked.payload === '') return { body: accountView(asked.account, urls) };
  const { contact, status } = documents.readDocument(documents.accountUpdate, asked.payload, 'the account');
  if (contact) checkContacts(contact);
  const changed = await accounts.update(asked.account.id, {
    ...(contact && { contact }),
    ...(status && { status }),
  });
  if (status === 'deactivated') await orders.removeOfAccount(changed.id);
  return { body: accountView(changed, urls) };
}

/** Section 7.3.5: the outer request is signed by the old key, the inner one by the new. */
export async function keyChange(services: Services, asked: AskedByAccount): Promise<Reply> {
  const { urls, accounts } = services;
  const inner = await openInner(asked.payload, `${urls.base}/key-change`);
  const change = documents.readDocument(documents.keyChange, inner.payload, 'the key change');
  if (change.account !== urls.account(asked.account.id)) {
    throw new AcmeProblem('malformed', 'the key change is for another account');
  }
  publicKeyOf(change.oldKey);
  if ((await thumbprint(change.oldKey)) !== asked.account.thumbprint) {
    throw new AcmeProblem('malformed', 'oldKey is not the key of the account');
  }
  await accounts.changeKey(asked.account.id, inner.jwk, (id) => urls.account(id));
  return { body: accountView({ ...asked.account, jwk: inner.jwk }, urls) };
}

/** Section 7.3.6. */
export function deactivated(): AcmeProblem {
  return new AcmeProblem('unauthorized', 'the account is deactivated', { status: 401 });
}
