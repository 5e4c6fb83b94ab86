/** Names of certificate authorities that MDCertificateAuthority knows, as they are shown, with their directories. */
const known: readonly (readonly [name: string, directory: string])[] = [
  ['LetsEncrypt', 'https://acme-v02.api.letsencrypt.org/directory'],
  ['LetsEncrypt-Test', 'https://acme-staging-v02.api.letsencrypt.org/directory'],
  ['Buypass', 'https://api.buypass.com/acme/directory'],
  ['Buypass-Test', 'https://api.test4.buypass.no/acme/directory'],
  ['ZeroSSL', 'https://acme.zerossl.com/v2/DV90'],
  ['Google', 'https://dv.acme-v02.api.pki.goog/directory'],
  ['Google-Test', 'https://dv.acme-v02.test-api.pki.goog/directory'],
  ['SSLcom-RSA', 'https://acme.ssl.com/sslcom-dv-rsa'],
  ['SSLcom-ECC', 'https://acme.ssl.com/sslcom-dv-ecc'],
  ['Actalis', 'https://acme-api.actalis.com/acme/directory'],
  ['Sectigo', 'https://acme.sectigo.com/v2/DV'],
];

/** Of those, whose accounts must be bound to an external one. */
const binding = /^(ZeroSSL|Google|Google-Test|SSLcom-RSA|SSLcom-ECC|Actalis|Sectigo)$/;

const directories = new Map(known.map(([name, directory]) => [name.toLowerCase(), directory]));

/** All of them, without `local`. */
export const knownDirectories: readonly string[] = known.map(([, directory]) => directory);

export const defaultAuthority = 'https://acme-v02.api.letsencrypt.org/directory';

/** Where tailscaled listens, unless told otherwise. */
export const tailscaleSocket = 'file://localhost/var/run/tailscale/tailscaled.sock';

/** The embedded CA; its address is known only when it runs. */
export const LOCAL = 'local';

export type Authority =
  | { readonly url: string; readonly closed: boolean }
  /** Why it is neither a name nor a URL. */
  | { readonly problem: string };

/** The directory URL that a name (in any case) or a URL stands for; `local` stays. */
export function findAuthority(text: string): Authority {
  const name = text.toLowerCase();
  if (name === LOCAL) return { url: LOCAL, closed: false };
  const directory = directories.get(name);
  // Buypass stopped issuing in October 2025.
  if (directory !== undefined) return { url: directory, closed: name.startsWith('buypass') };
  if (/^file:/i.test(text)) return socketAt(text);
  if (!/^[a-z][a-z\d+.-]*:/i.test(text)) return { problem: 'missing uri scheme' };
  if (!/^[a-z][a-z\d+.-]*:\/\/[^/]/i.test(text) || !URL.canParse(text))
    return { problem: 'missing hostname' };
  return { url: text, closed: false };
}

/** A socket of this machine. */
function socketAt(text: string): Authority {
  const path = /^file:\/\/(?:localhost)?(\/[^?#]+)$/i.exec(text)?.[1];
  if (path === undefined) return { problem: 'a socket is named as file://localhost/PATH' };
  return { url: `file://localhost${path}`, closed: false };
}

/** The name of a CA that registers no account without an external one, by its directory; undefined for others. */
export function authorityThatBinds(directory: string): string | undefined {
  return known.find(([name, url]) => url === directory && binding.test(name))?.[0];
}

export const authorityNames = [...known.map(([name]) => name), LOCAL].join(' ');
