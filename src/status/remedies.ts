/** What an administrator may do about a problem, by its type; undefined where the problem's own words say it all. */
import type { Problem } from '../domains/issuer.ts';

const ACME = 'urn:ietf:params:acme:error:';

const remedies: Readonly<Record<string, string>> = {
  [`${ACME}dns`]: 'Make the name resolve, A and AAAA both, to this server.',
  [`${ACME}connection`]:
    'See that the port of the challenge (80 for http-01, 443 for tls-alpn-01) reaches this server from the internet, by IPv6, too, where the name has an AAAA record. Where other ports arrive here, say so by MDPortMap.',
  [`${ACME}unauthorized`]:
    'Something else answered for the name: see where it points to, and what stands before this server.',
  [`${ACME}caa`]: 'Permit the CA in a CAA record of the name, or remove the record that permits only others.',
  [`${ACME}rateLimited`]:
    'Wait: the CA is asked again when its limit allows it. Fewer certificates need fewer orders.',
  [`${ACME}rejectedIdentifier`]: 'The CA gives no certificate for this name: remove it, or use another CA.',
  [`${ACME}externalAccountRequired`]:
    'Get a key ID and an HMAC key from the CA and configure them by MDExternalAccountBinding.',
  [`${ACME}userActionRequired`]: 'Read what the CA asks for, mostly new terms of service, and agree to it.',
  [`${ACME}invalidContact`]: 'Give an address that the CA accepts by MDContactEmail.',
  [`${ACME}serverInternal`]: 'Nothing: it is the CA’s own trouble, and it is asked again.',
};

export function remedyFor({ type, subproblems = [] }: Problem): string | undefined {
  const own = remedies[type];
  if (own !== undefined) return own;
  return subproblems.map(({ type: inner }) => remedies[inner]).find((remedy) => remedy !== undefined);
}
