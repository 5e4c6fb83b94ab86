/** Which names are never ordered on demand, whoever permits them. Pure. */
import { isIP } from 'node:net';
import { parse } from 'tldts';

/** Labels below the registered domain. */
const DEEPEST = 3;
/** Characters; what is longer is nobody's site. */
const LONGEST = 200;

/** Letters, digits and hyphens (RFC 952, RFC 1123): what public CAs issue for. */
const HOST_NAME = /^(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/;

/** Why there is no certificate for `name` (lower case, no dot at the end), whatever is permitted; undefined if there may be. */
export function refusalOf(name: string): string | undefined {
  if (isIP(name)) return 'it is an IP address';
  if (!name.includes('.')) return 'it is a single label';
  if (name.length > LONGEST) return `it is longer than ${LONGEST} characters`;
  if (!HOST_NAME.test(name)) return 'it is no host name';
  if (name.endsWith('.arpa')) return 'it is a name of the DNS itself';
  const { domain, publicSuffix, isIp } = parse(name, { allowPrivateDomains: true });
  if (isIp === true) return 'it is an IP address';
  if (domain === null || publicSuffix === null) return 'it is a public suffix';
  const own = name.slice(0, -publicSuffix.length - 1).split('.');
  if (own.length > DEEPEST + 1) return `it has more than ${DEEPEST} labels below ${domain}`;
  // What scanners make of names in certificate logs: www.www.example.org, a.a.a.example.org.
  if (new Set(own).size < own.length) return 'its labels repeat';
  return undefined;
}
