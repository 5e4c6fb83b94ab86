/** What a program says to Latchkey.open(), and what it comes to: checked, with all defaults in. */
import { join, resolve } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { LatchkeyError } from '../base/errors.ts';
import { defaultAuthority, findAuthority, LOCAL } from '../config/authorities.ts';
import type { DnsProvider, OnDemandDecision, Window } from '../domains/settings.ts';
import type { KeySpec } from '../pki/keyspec.ts';
import { certificateName } from '../pki/names.ts';
import type { Leases } from '../store/leases.ts';
import type { Store } from '../store/store.ts';
import { createPolicy, type TlsPolicy } from '../tls/policy.ts';
import { checkOptions, type keyKinds } from './options-schema.ts';
import type { CertificateIssuer } from './own-issuer.ts';

export type KeyKind = (typeof keyKinds)[number];
export type ChallengeType = 'http-01' | 'tls-alpn-01' | 'dns-01';

export interface LatchkeyOptions {
  /**
   * The names of a certificate: `['example.org', 'www.example.org']`; or a list for each certificate. IP addresses
   * and wildcards (`*.example.org`, by dns-01) are names, too. Default none: see `onDemand` and Latchkey.add().
   */
  readonly domains?: readonly string[] | readonly (readonly string[])[] | undefined;
  /** Whom the CA may write to. Default: nobody. */
  readonly email?: string | undefined;
  /** Says that you agree to the terms of service of the CA. Needed for all but `local` and an issuer of your own. */
  readonly agreement?: 'accepted' | undefined;
  /**
   * The folder where certificates, keys and accounts are kept; made if need be, for your eyes only. It is a store as
   * mod_md and the Latchkey server have it. Several processes may share it. Either this or `store` is needed.
   */
  readonly storeDir?: string | undefined;
  /** A store of your own instead; see Store for what it promises. */
  readonly store?: Store | undefined;
  /** Where several processes share `store`: who of them works on what. */
  readonly leases?: Leases | undefined;
  /**
   * The CA, by the URL of its ACME directory or by name: `LetsEncrypt` (default), `LetsEncrypt-Test`, `ZeroSSL`,
   * `Google`, …; `local` is one that is built in, for development. Of several the next is tried when one fails.
   */
  readonly authority?: string | readonly string[] | undefined;
  /** PEM of what the CA's own https is trusted by. Default: the system's trust anchors. */
  readonly authorityCa?: string | undefined;
  /** What ZeroSSL, Google and others give to their customers; `hmac` in base64url. */
  readonly externalAccount?: { readonly keyId: string; readonly hmac: string } | undefined;
  /** Turns requests into certificates instead of ACME. */
  readonly issuer?: CertificateIssuer | undefined;
  /** Default: what can work, tls-alpn-01 before http-01 before dns-01. */
  readonly challenges?: readonly ChallengeType[] | undefined;
  /** Writes the TXT records of dns-01, which wildcards need. */
  readonly dns?: DnsProvider | undefined;
  /** A certificate is obtained for each; clients get the one that they can use. Default `['P-256']`. */
  readonly keys?: readonly KeyKind[] | undefined;
  /** A profile of the CA (`shortlived`, …); a CA that lacks it gives none. Default: the CA's default. */
  readonly profile?: string | undefined;
  /** How long before its end a certificate is renewed, where the CA does not say itself (ARI). Default: a third of its life. */
  readonly renewWindow?: Window | undefined;
  /** Whether OCSP responses are fetched and stapled, for certificates that have a responder. Default true. */
  readonly stapling?: boolean | undefined;
  /** What is spoken with clients. Default: TLS 1.2 and 1.3, ciphers with forward secrecy, no client certificates. */
  readonly tls?: TlsSettings | undefined;
  /** Ports that listen() takes and the `local` CA looks at. Default 80 and 443; `http: false`: none for plain HTTP. */
  readonly ports?:
    | { readonly http?: number | false | undefined; readonly https?: number | undefined }
    | undefined;
  /** Certificates for names that are not in `domains`, ordered when a client calls for one and you permit it. */
  readonly onDemand?: OnDemandDecision | OnDemandOptions | undefined;
  /** Of the CA that `authority: 'local'` starts. */
  readonly localCa?: LocalCaOptions | undefined;
  /** Where log lines go: `console`, or a logger as of pino or winston. Default: nowhere; see also the events. */
  readonly logger?: LogSink | undefined;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Closes it when aborted. */
  readonly signal?: AbortSignal | undefined;
}

export interface TlsSettings {
  /** Default `TLSv1.2`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
  /** OpenSSL's cipher list for TLS 1.2. */
  readonly ciphers?: string | undefined;
  /** Whether clients are asked for a certificate. `optional`: one that is shown must be good. Default `none`. */
  readonly clientAuth?: 'none' | 'optional' | 'require' | undefined;
  /** PEM of the CAs that client certificates must lead to. */
  readonly clientCa?: string | undefined;
}

export interface OnDemandOptions {
  /** Asked before each order; a no is remembered for a minute, a yes for ten. */
  readonly allow: OnDemandDecision;
  /** Public addresses that lead here, beside this machine's own: behind a load balancer without port 80. */
  readonly addresses?: readonly string[] | undefined;
  /** ms that a handshake waits for an order. Default 20 s. */
  readonly wait?: number | undefined;
  /** ms after which a name is dropped that nobody has called for. Default 30 days. */
  readonly keep?: number | undefined;
}

export interface LocalCaOptions {
  /** Its folder. Default: `local-ca` in `storeDir`. */
  readonly dir?: string | undefined;
  /** The port of its ACME server, on 127.0.0.1. Default: any free one. */
  readonly port?: number | undefined;
  /** ms that its certificates are valid. Default 7 days. */
  readonly lifetime?: number | undefined;
}

export interface LogSink {
  readonly error: (line: string) => void;
  readonly warn: (line: string) => void;
  readonly info: (line: string) => void;
  readonly debug: (line: string) => void;
}

export interface WaitOptions {
  /** Ends the waiting, and nothing else. */
  readonly signal?: AbortSignal | undefined;
}

export interface RenewOptions extends WaitOptions {
  /** Called at each step, with a short name of it and a sentence for people. */
  readonly onProgress?: ((progress: { readonly step: string; readonly detail: string }) => void) | undefined;
}

/** What was said, checked. */
export interface Resolved {
  readonly options: LatchkeyOptions;
  readonly domains: readonly (readonly string[])[];
  readonly authorities: readonly string[];
  readonly keys: readonly KeySpec[];
  readonly clock: Clock;
  readonly policy: TlsPolicy;
  readonly ports: { readonly http: number | undefined; readonly https: number };
  readonly onDemand: OnDemandOptions | undefined;
  /** Folder of the built-in CA; undefined: there is none. */
  readonly localCaDir: string | undefined;
}

/** @throws LatchkeyError `bad-option`; PkiError `name-invalid`; `tls-bad-policy` */
export function resolveOptions(options: LatchkeyOptions): Resolved {
  checkOptions(options);
  const domains = listsOf(options.domains ?? []).map(namesOf);
  const [twice] = repeated(domains.flat());
  if (twice !== undefined) throw bad(`domains: ${twice} is in two certificates`);
  const { authority = defaultAuthority, keys = ['P-256'], ports = {} } = options;
  const onDemand = typeof options.onDemand === 'function' ? { allow: options.onDemand } : options.onDemand;
  if (authority.length === 0) throw bad('authority: the list is empty; without it, it is LetsEncrypt');
  if (keys.length === 0) throw bad('keys: the list is empty; without it, it is P-256');
  const authorities = options.issuer ? ['own'] : [authority].flat().map(directoryOf);
  if (authorities.includes(LOCAL) && (ports.https === 0 || ports.http === 0)) {
    throw bad("ports: with authority 'local' they can't be 0, as the CA has to know where to look");
  }
  const { agreement, email, storeDir, store } = options;
  if (agreement !== 'accepted' && authorities.some((url) => url !== LOCAL && url !== 'own')) {
    throw bad("agreement: 'accepted' is missing: it says that you agree to the terms of service of the CA");
  }
  if (email !== undefined && !/^[^\s@]+@[^\s@]+$/.test(email)) throw bad(`email: '${email}' is no address`);
  if ((storeDir === undefined) === (store === undefined)) {
    throw bad(
      'storeDir says where certificates and keys are kept (a folder), store is one of your own: give one of the two. `store: new MemoryStore()` orders anew at each start, which a public CA permits a few times a week',
    );
  }
  return {
    options,
    domains,
    authorities,
    keys: keys.map(keySpecOf),
    clock: options.clock ?? systemClock,
    policy: createPolicy(options.tls ?? {}),
    ports: { http: ports.http === false ? undefined : (ports.http ?? 80), https: ports.https ?? 443 },
    onDemand,
    localCaDir: authorities.includes(LOCAL) ? localCaDirOf(options) : undefined,
  };
}

/** Checked names of one certificate, the first of which names it. */
export function namesOf(names: readonly string[]): string[] {
  const checked = [...new Set(names.map(certificateName))];
  if (checked.length === 0) throw bad('domains: a certificate needs a name');
  return checked;
}

function listsOf(domains: NonNullable<LatchkeyOptions['domains']>): (readonly string[])[] {
  const single = domains.filter((entry) => typeof entry === 'string');
  const lists = domains.filter((entry) => typeof entry !== 'string');
  if (single.length > 0 && lists.length > 0) {
    throw bad('domains: either a list of names, for one certificate, or a list of such lists');
  }
  return single.length > 0 ? [single] : lists;
}

function repeated(names: readonly string[]): string[] {
  const seen = new Set<string>();
  return names.filter((name) => seen.size === seen.add(name).size);
}

function directoryOf(text: string): string {
  const found = findAuthority(text);
  if ('problem' in found) throw bad(`authority: '${text}' is no name of a CA and no URL: ${found.problem}`);
  if (!/^https?:/i.test(found.url) && found.url !== LOCAL) throw bad(`authority: '${text}' speaks no ACME`);
  return found.url;
}

function keySpecOf(kind: KeyKind): KeySpec {
  const [type, size] = kind.split('-');
  return type === 'RSA' ? { type, bits: Number(size) } : { type: 'EC', name: kind.toLowerCase() };
}

function localCaDirOf({ localCa, storeDir }: LatchkeyOptions): string {
  const dir = localCa?.dir ?? (storeDir === undefined ? undefined : join(storeDir, 'local-ca'));
  if (dir === undefined) throw bad("localCa.dir is missing: authority 'local' keeps its root in a folder");
  return resolve(dir);
}

export function bad(message: string): LatchkeyError<'bad-option'> {
  return new LatchkeyError('bad-option', message);
}
