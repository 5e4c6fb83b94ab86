/** The engine speaks to administrators, in the language of httpd's configuration; programs have options. */

/** What a directive is called here. */
const OPTIONS: Readonly<Record<string, string>> = {
  MDCACertificateFile: 'authorityCa',
  MDCAChallenges: 'challenges',
  MDCertificateAuthority: 'authority',
  MDChallengeDns01: 'dns',
  MDContactEmail: 'email',
  MDExternalAccountBinding: 'externalAccount',
  MDOnDemandAddress: 'onDemand.addresses',
  MDOnDemandAsk: 'onDemand',
  MDPortMap: 'ports',
  MDPrivateKeys: 'keys',
  MDProfile: 'profile',
};

/** Plain data with the names of options in place of directives', in all its texts. */
export function worded<Data>(data: Data): Data {
  return replaced(data) as Data;
}

function replaced(data: unknown): unknown {
  if (typeof data === 'string') {
    return data.replaceAll(/\bMD[A-Z]\w+/g, (directive) => {
      const option = OPTIONS[directive];
      return option === undefined ? directive : `the option ${option}`;
    });
  }
  if (Array.isArray(data)) return data.map(replaced);
  if (typeof data !== 'object' || data === null) return data;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, replaced(value)]));
}
