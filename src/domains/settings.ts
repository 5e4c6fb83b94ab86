/**
 * What a managed domain is to be: the engine's half of the configuration. config/ fills it in from an httpd
 * configuration, the library from its options; every default is in, every name lower case, every path absolute.
 */
import type { ExternalAccount } from '../acme/client.ts';
import type { KeySpec } from '../pki/keyspec.ts';

export type { ExternalAccount };

/** A share of a certificate's life, or a length of time in ms. */
export type Window = { readonly percent: number } | { readonly ms: number };

export interface ManagedDomainSettings {
  /** The first name given: the name of its folders in the store. */
  readonly name: string;
  /** All names of the certificate, lower case, in order, without duplicates; members by `auto` included. */
  readonly domains: readonly string[];
  /** Whether ServerName/ServerAlias of its hosts become members. */
  readonly transitive: boolean;
  /** Whom the authorities are talked to as (MDCertificateProtocol). */
  readonly protocol: 'acme' | 'tailscale';
  /**
   * Directory URLs in order of preference, known names resolved. `local` is the embedded CA. With protocol
   * `tailscale` they are `file://localhost/PATH` of sockets.
   */
  readonly authorities: readonly string[];
  /** `accepted`, or the URL of the terms agreed to. */
  readonly agreement: string | undefined;
  /** What accounts are bound to (MDExternalAccountBinding); undefined: to nothing. `hmac` is a secret. */
  readonly externalAccount: ExternalAccount | undefined;
  /** `mailto:` URLs. */
  readonly contacts: readonly string[];
  /** undefined: chosen by what can work. */
  readonly challenges: readonly string[] | undefined;
  /** What sets up and takes down DNS records. */
  readonly challengeDns01: DnsCommand | DnsProvider | undefined;
  readonly renewMode: 'auto' | 'manual' | 'always';
  readonly renewWindow: Window;
  readonly warnWindow: Window;
  readonly keys: readonly KeySpec[];
  /** Whether the CA is asked when to renew (MDRenewViaARI, RFC 9773). */
  readonly renewViaAri: boolean;
  /** One of the CA's profiles (MDProfile); undefined: whichever it takes by itself. */
  readonly profile: string | undefined;
  /** Rather no certificate than one of another profile (MDProfileMandatory). */
  readonly profileMandatory: boolean;
  /** Whether certificates are to demand an OCSP staple (MDMustStaple). */
  readonly mustStaple: boolean;
  /** Its certificates are shown with an OCSP response (MDStapling). */
  readonly stapling: boolean;
  readonly requireHttps: 'off' | 'temporary' | 'permanent';
  /** PEM of the CA's own trust anchors, or undefined for the system's. */
  readonly caCertificateFile: string | undefined;
  /** The HTTP proxy on the way to the CA (MDHttpProxy). */
  readonly proxy: ProxySettings | undefined;
  /** What is served instead of what is obtained (MDCertificateFile), absolute; empty: nothing. */
  readonly staticFiles: readonly StaticFiles[];
  /** Whether a virtual host uses it (else it is watched only with renewMode `always`). */
  readonly used: boolean;
  /** What a CA can reach, by Listen, MDPortMap, Protocols and MDChallengeDns01; the reasons speak to the administrator. */
  readonly reach: {
    readonly http01: Reach;
    readonly tlsAlpn01: Reach;
    readonly dns01: Reach;
  };
}

/** MDChallengeDns01; in version 2 it is told the data when it takes a record down, too. */
export interface DnsCommand {
  readonly command: readonly string[];
  readonly version: 1 | 2;
}

/** Who can write DNS records in this very process: the library's way. */
export interface DnsProvider {
  /**
   * Adds `value` to the TXT records of `name` (`_acme-challenge.example.org`), beside those that are there; fulfilled
   * when all its name servers have it. A rejection is a failed renewal, and so is taking longer than a minute: then,
   * and when the renewal is given up, the signal is aborted.
   */
  readonly add: (
    name: string,
    value: string,
    options: { readonly signal?: AbortSignal | undefined },
  ) => Promise<void>;
  /** Removes that value, within a minute, too. A rejection is told in the job's log, and has no other consequence. */
  readonly remove: (
    name: string,
    value: string,
    options: { readonly signal?: AbortSignal | undefined },
  ) => Promise<void>;
}

export interface ProxySettings {
  /** http or https; may hold a user and a password, which are secrets. */
  readonly url: string;
  /** PEM of an https proxy's trust anchors (MDHttpProxyCACertificateFile), or undefined for the system's. */
  readonly caCertificateFile: string | undefined;
}

/** So many at once, and as many again evenly over `period` (ms). */
export interface RateLimit {
  /** At least 1. */
  readonly count: number;
  readonly period: number;
}

/**
 * What a CA limits: orders of an account, certificates for a registered domain, certificates for exactly the
 * same names, failed validations of a name.
 */
export const limitKinds = [
  'new-orders',
  'certificates-per-domain',
  'certificates-per-set',
  'failures-per-name',
] as const;
export type LimitKind = (typeof limitKinds)[number];

/** Of one CA, as configured (MDRateLimit); `none` where it has no such limit, absent where the built-in one counts. */
export type RateLimits = Readonly<Partial<Record<LimitKind, RateLimit | 'none'>>>;

/**
 * Whether `name` may have a certificate. `address`: of the client that calls for it; undefined before a renewal. It
 * has 5 s; a rejection is no answer, and neither permits nor withdraws anything.
 */
export type OnDemandDecision = (name: string, address: string | undefined) => boolean | Promise<boolean>;

/** Names that nobody configured, and their certificates (MDOnDemand). Times are ms. */
export interface OnDemandSettings {
  /** Names them in the certificate table; stays what it is over reloads. */
  readonly id: string;
  /** Whom to ask whether a name may have a certificate: a URL (MDOnDemandAsk), or the program that has the library. */
  readonly ask: string | OnDemandDecision;
  /** MDOnDemandWait: so long a handshake waits for an order. */
  readonly wait: number;
  /** MDOnDemandKeep: a name that nobody has called for so long is dropped. */
  readonly keep: number;
  /** MDOnDemandAddress: public addresses that lead here, beside this machine's own. */
  readonly addresses: readonly string[];
  /** What each name becomes, but for `name` and `domains`. */
  readonly template: ManagedDomainSettings;
}

export type Reach = { readonly possible: true } | { readonly possible: false; readonly reason: string };

/** PEM of a certificate with its chain, and of its key, which may be one file. */
export interface StaticFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Programs with their arguments; undefined where there is none. */
export interface HookCommands {
  /** MDNotifyCmd: gets the domain's name. */
  readonly notify: readonly string[] | undefined;
  /** MDMessageCmd: gets the event and the domain's name. */
  readonly message: readonly string[] | undefined;
}
