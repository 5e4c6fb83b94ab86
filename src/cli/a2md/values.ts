/** What a2md accepts as names, addresses and URLs. All throw Failure. */
import { explain } from '../../base/errors.ts';
import { findAuthority } from '../../config/authorities.ts';
import { certificateName } from '../../pki/names.ts';
import { Failure } from './failure.ts';

/** Names for a certificate: lower case, each once, in their order. */
export function domainNames(args: readonly string[]): string[] {
  return [...new Set(args.map(domainName))];
}

function domainName(text: string): string {
  try {
    const name = certificateName(text);
    if (name.includes('.') || name.includes(':')) return name;
  } catch (error) {
    throw new Failure('EINVAL', explain(error));
  }
  throw new Failure('EINVAL', `'${text}' is no domain name: it has a single label`);
}

/** The directory URL of a CA, by URL or by a name that MDCertificateAuthority knows. */
export function authorityUrl(text: string): string {
  const found = findAuthority(text);
  if ('problem' in found) throw new Failure('EINVAL', `'${text}' is no URL of a CA: ${found.problem}`);
  return httpUrl(found.url, 'URL of a CA');
}

/** `accepted`, or the URL of the terms. */
export function agreement(text: string): string {
  return text === 'accepted' ? text : httpUrl(text, 'URL of terms of service');
}

/** `what` is said of a text that is none. */
export function httpUrl(text: string, what: string): string {
  if (!/\s/.test(text) && /^https?:$/.test(URL.parse(text)?.protocol ?? '')) return text;
  throw new Failure('EINVAL', `'${text}' is no ${what}: it has to be an http or https URL`);
}

/** Contacts as URLs: an address without a scheme becomes `mailto:`. */
export function contactUrls(args: readonly string[]): string[] {
  return args.map((text) => {
    const url = /^[a-z][a-z\d+.-]*:/i.test(text) ? text : `mailto:${text}`;
    const address = /^mailto:(.*)$/i.exec(url)?.[1];
    const good =
      address === undefined
        ? URL.canParse(url) && !/\s/.test(url)
        : /^[^\s@]+@[^\s@]+$/.test(address) && !address.includes('..');
    if (good) return url;
    throw new Failure('EINVAL', `'${text}' is no mail address and no contact URL`);
  });
}
