/** A managed domain as the engine has it, out of the program's options. */
import type { ManagedDomainSettings, Reach } from '../domains/settings.ts';
import type { ChallengeType, Resolved } from './options.ts';

/** What of this program answers challenges, as far as it is known by now. */
export interface Ways {
  /** Something has the challengeHandler. */
  http: boolean;
  /** A server's connections come in through ours. */
  tls: boolean;
}

/** A program that names a challenge knows that it works: another process may answer it. */
export function domainSettings(
  names: readonly string[],
  { options, authorities, keys }: Resolved,
  ways: Ways,
): ManagedDomainSettings {
  const { challenges, externalAccount, email, dns } = options;
  const reach = (type: ChallengeType, is: boolean, reason: string): Reach =>
    is || challenges?.includes(type) ? { possible: true } : { possible: false, reason };
  return {
    name: names[0] ?? '',
    domains: names,
    transitive: false,
    protocol: 'acme',
    authorities,
    // Or it is needed for none of the authorities: see resolveOptions().
    agreement: 'accepted',
    externalAccount: externalAccount && { kid: externalAccount.keyId, hmac: externalAccount.hmac },
    contacts: email === undefined ? [] : [`mailto:${email}`],
    challenges,
    challengeDns01: dns,
    renewMode: 'auto',
    renewWindow: options.renewWindow ?? { percent: 33 },
    warnWindow: { percent: 10 },
    keys,
    renewViaAri: true,
    profile: options.profile,
    profileMandatory: options.profile !== undefined,
    mustStaple: false,
    stapling: options.stapling ?? true,
    requireHttps: 'off',
    caCertificateFile: undefined,
    proxy: undefined,
    staticFiles: [],
    used: true,
    reach: {
      http01: reach(
        'http-01',
        ways.http,
        'nothing answers at port 80: listen() does, or a server of yours with challengeHandler',
      ),
      tlsAlpn01: reach('tls-alpn-01', ways.tls, 'no server has its connections through secure()'),
      dns01: dns
        ? { possible: true }
        : { possible: false, reason: 'the option dns is missing, which writes the records' },
    },
  };
}
