/**
 * Challenge answers, read from the store's challenges/ as they are asked for: the engine writes them there,
 * and whichever worker the CA reaches finds them.
 */
import { addressOfReverseName, normalizeAddress } from '../base/addresses.ts';
import type { Store } from '../store/store.ts';
import { isPreflightToken } from './preflight/token.ts';

export class Challenges {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** The key authorization for http-01, or undefined where none is being asked for `host`. Preflight's tokens have their own. */
  async http01(host: string, token: string): Promise<string | undefined> {
    const name = host.includes(':') ? normalizeAddress(host) : host;
    const text = await this.#read(isPreflightToken(token) ? token : name, 'acme-http-01.txt');
    return text?.toString('latin1').trim();
  }

  /** tls-alpn-01's certificate and key (RFC 8737), or undefined. Addresses are asked for by their reverse names. */
  async tlsAlpn01(sni: string): Promise<{ readonly chainPem: string; readonly keyPem: string } | undefined> {
    const host = addressOfReverseName(sni) ?? sni;
    const cert = await this.#read(host, 'acme-tls-alpn-01-pubcert.pem');
    const key = await this.#read(host, 'acme-tls-alpn-01-privkey.pem');
    return cert && key && { chainPem: cert.toString('latin1'), keyPem: key.toString('latin1') };
  }

  async #read(host: string, aspect: string): Promise<Buffer | undefined> {
    try {
      return await this.#store.load('challenges', host, aspect);
    } catch {
      // A name that no store could have, or a file that can't be read: no answer either way.
      return undefined;
    }
  }
}
