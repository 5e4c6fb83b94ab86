/** What an administrator can do about a problem, in a sentence; the CA's words say what is wrong (RFC 8555 section 6.7). */
import type { Problem } from '../issuer.ts';

const ACME = 'urn:ietf:params:acme:error:';

/** The CA wants a person to do something: trying again by ourselves is of no use. */
export const USER_ACTION_REQUIRED = `${ACME}userActionRequired`;

/** The configuration lacks what the CA demands. */
export const LACKING: ReadonlySet<string> = new Set([
  `${ACME}externalAccountRequired`,
  'urn:latchkey:problem:agreement',
  'urn:latchkey:problem:no-authority',
]);

const OURS =
  'This is for the CA or for Latchkey to mend; it is tried again. Should it last, report it with the log.';
const COMMAND =
  'Look at the command: it has to be there, User has to be allowed to run it, and it has to end with 0.';
const BY_ITSELF = 'Nothing is to be done: it is tried again.';

const remedies: Readonly<Record<string, string>> = {
  accountDoesNotExist: 'The CA has forgotten the account: another one is registered at the next try.',
  alreadyReplaced: 'Nothing is to be done: the next order does not say what it replaces.',
  alreadyRevoked: 'Nothing is to be done: the certificate is revoked.',
  badCSR:
    'The CA does not take such a request: look at MDPrivateKeys and MDMustStaple, and at the names of the domain.',
  badNonce: BY_ITSELF,
  badPublicKey: 'The CA does not take such a key: choose another kind in MDPrivateKeys (RSA 2048, P-256).',
  badRevocationReason: OURS,
  badSignatureAlgorithm: OURS,
  caa: 'A CAA record in the DNS keeps this CA from issuing: add one that names it, or choose another CA in MDCertificateAuthority.',
  compound: 'There are several problems: see each of them.',
  conflict: BY_ITSELF,
  connection:
    'The CA could not connect: the name has to lead here from the internet (A and AAAA records, firewall, port forwarding, MDPortMap).',
  dns: 'The name does not resolve for the CA: check its A and AAAA records, the name servers and DNSSEC; for dns-01, the TXT record that MDChallengeDns01 writes.',
  externalAccountRequired:
    'Get a key ID and an HMAC key from the CA, and configure them by MDExternalAccountBinding.',
  incorrectResponse:
    'Something else answers for the name: check that it leads to this server, and that no other server, proxy or cache is in between.',
  invalidContact: 'The CA does not take the contact: correct MDContactEmail (or ServerAdmin).',
  invalidProfile: 'Choose a profile that the CA offers in MDProfile, or leave it out.',
  malformed: OURS,
  orderNotReady: BY_ITSELF,
  rateLimited:
    'The CA has limits, and one is used up: it is tried again when the CA allows it. Trying sooner makes it last longer.',
  rejectedIdentifier:
    'The CA gives no certificate for such a name: take it out of MDomain (or of ServerAlias), or choose another CA.',
  serverInternal: 'The CA has an internal error: it is tried again.',
  tls: 'The CA could not talk TLS to the name: check that port 443 leads here, and that nothing in between ends TLS; MDCAChallenges http-01 does without.',
  unauthorized:
    'The CA does not believe that the name is yours: check that it leads to this server (A and AAAA records), or that the DNS record is there.',
  unsupportedContact: 'The CA takes mail addresses only: correct MDContactEmail.',
  unsupportedIdentifier:
    'The CA does not issue for names of this kind (wildcards, addresses): choose another CA or profile.',
  userActionRequired:
    'The CA wants you to do something first: follow its words, then reload, or run `latchkey renew` for the domain.',
};

/** Undefined where the problem's own words have the remedy, or nobody knows one. */
export function remedyFor({ type, detail, remedy, subproblems }: Problem): string | undefined {
  if (remedy !== undefined) return remedy;
  if (/:AH1010[89]:$/.test(type)) return COMMAND;
  const name = type.startsWith(ACME) ? type.slice(ACME.length) : '';
  const unpause = name === 'rateLimited' ? unpauseUrl(detail) : undefined;
  if (unpause !== undefined) return `The CA has paused the name: allow it again at ${unpause}`;
  const [first] = name === 'compound' ? (subproblems ?? []) : [];
  return (first && remedyFor(first)) ?? (Object.hasOwn(remedies, name) ? remedies[name] : undefined);
}

/** Let's Encrypt pauses names that fail for months, and says where they can be allowed again. */
function unpauseUrl(detail: string): string | undefined {
  return /https:\/\/\S*unpause\S*/i.exec(detail)?.[0].replace(/[.,;)>\]]+$/, '');
}
