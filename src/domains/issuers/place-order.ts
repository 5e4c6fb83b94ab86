/** Asking for an order: of the configured profile, and with word of the certificate that it replaces. */
import { isIP } from 'node:net';
import type { NewOrderOptions, Order } from '../../acme/client.ts';
import type { AcmeError } from '../../acme/errors.ts';
import { coversName, parseChain } from '../../pki/certificate.ts';
import { keyFileSuffix } from '../../pki/keys.ts';
import type { KeySpec } from '../../pki/keyspec.ts';
import { chainFile, undamaged } from '../stored/held.ts';
import { ownProblem, RenewalError } from '../issuer.ts';
import { type Accounts, isAccountGone } from './accounts.ts';
import type { Run } from './run.ts';
import { isRefusal, saveOrder } from './staged-order.ts';

type Extras = Pick<NewOrderOptions, 'profile' | 'replaces'>;

/** A new order for the names of the domain. What the CA does not like of the extras is left out, once each. */
export async function placeOrder(run: Run, spec: KeySpec, accounts: Accounts): Promise<Order> {
  const { domain, client, options } = run;
  options.progress({ step: 'order', detail: `Creating new order for ${domain.domains.join(', ')}` });
  const identifiers = domain.domains.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value }) as const);
  let extras: Extras = { profile: await profileOf(run), replaces: await replacedBy(run, spec) };
  let replaced = false;
  let counted = false;
  for (;;) {
    if (extras.replaces === undefined && !counted) {
      await options.beforeOrder?.();
      counted = true;
    }
    try {
      const order = await client.newOrder(run.account, { identifiers, ...extras, signal: options.signal });
      // One with names to be validated is saved once more, with what is set up for them.
      await saveOrder(run, order, { durable: order.status !== 'pending' });
      return order;
    } catch (error) {
      const fewer = isRefusal(error) ? without(run, extras, error) : undefined;
      if (fewer) {
        extras = fewer;
        continue;
      }
      if (replaced || !isAccountGone(error)) throw error;
      replaced = true;
      run.account = await accounts.replace(run.account, domain, client, options);
    }
  }
}

/** The extras without the one that the CA may have refused; undefined where it was none of them. */
function without({ domain, options }: Run, extras: Extras, refused: AcmeError): Extras | undefined {
  const type = refused.problem?.type.replace('urn:ietf:params:acme:error:', '');
  const { profile, replaces } = extras;
  if (profile !== undefined && type === 'invalidProfile') {
    if (domain.profileMandatory) return undefined;
    options.progress({ step: 'order', detail: `The CA refuses the profile ${profile}: ${refused.message}` });
    return { ...extras, profile: undefined };
  }
  // Which errors mean `replaces` differs from CA to CA (alreadyReplaced, malformed, unauthorized, …).
  if (replaces === undefined || type === 'accountDoesNotExist' || type === 'userActionRequired') {
    return undefined;
  }
  const detail = `The CA may not like what the order replaces, it is placed again without: ${refused.message}`;
  options.progress({ step: 'order', detail });
  return { ...extras, replaces: undefined };
}

/**
 * The profile to ask for, if the CA has it.
 * @throws RenewalError where it has not, and none but that will do
 */
async function profileOf({ domain, client, options }: Run): Promise<string | undefined> {
  const { profile, profileMandatory } = domain;
  if (profile === undefined) return undefined;
  const offered = Object.keys((await client.directory(options)).meta.profiles ?? {});
  if (offered.includes(profile)) return profile;
  const detail = lackingProfile(profile, offered);
  if (profileMandatory) throw new RenewalError(ownProblem('profile', detail));
  options.progress({ step: 'order', detail: `${detail}. The certificate is ordered without` });
  return undefined;
}

/** Says, for people, that the profile is none of those that the CA offers. */
export function lackingProfile(profile: string, offered: readonly string[]): string {
  const those = offered.length > 0 ? `it offers ${offered.join(', ')}` : 'it offers none';
  return `The CA does not offer the profile ${profile} (MDProfile), ${those}`;
}

/** What the CA calls the certificate in use (RFC 9773 section 5): renewals that name it are free of its limits. */
async function replacedBy(
  { store, domain, client, options }: Run,
  spec: KeySpec,
): Promise<string | undefined> {
  if (!domain.renewViaAri || options.renewsOwn !== true) return undefined;
  if ((await client.directory(options)).renewalInfo === undefined) return undefined;
  const pem = await undamaged(store.load('domains', domain.name, chainFile(keyFileSuffix(spec)), options));
  const [leaf] = pem ? await undamagedChain(pem.toString()) : [];
  if (!leaf || !domain.domains.some((name) => coversName(leaf, name))) return undefined;
  return leaf.renewalId;
}

async function undamagedChain(pem: string): Promise<ReturnType<typeof parseChain>> {
  return (await undamaged((async () => parseChain(pem))())) ?? [];
}
