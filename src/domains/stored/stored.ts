/** A managed domain as md.json alone describes it: for tools that work on a store without a configuration. */
import type { MdDocument } from '../../store/documents.ts';
import { parseKeySpecs, parseSpan } from '../../store/formats.ts';
import type { ManagedDomainSettings, Reach } from '../settings.ts';

export interface StoredOptions {
  /** PEM file of the CA's trust anchors; default: the system's. */
  readonly caCertificateFile?: string | undefined;
  /** The only challenge type to be used; default: as the document says. */
  readonly challenge?: string | undefined;
  /** Whether a server listens for http on this store (httpd.json); default true. */
  readonly http?: boolean | undefined;
}

const renewModes = ['manual', 'auto', 'always'] as const;

/** What a document leaves out, or what can't be read of it, is at its default. */
export function storedDomain(md: MdDocument, options: StoredOptions = {}): ManagedDomainSettings {
  const command = md['cmd-dns-01']?.split(' ').filter((word) => word !== '') ?? [];
  const keys = parseKeySpecs(md.privkey);
  const { http = true, challenge } = options;
  return {
    name: md.name,
    domains: md.domains,
    transitive: md.transitive === 1,
    protocol: md.ca.proto?.toLowerCase() === 'tailscale' ? 'tailscale' : 'acme',
    authorities: md.ca.urls.length > 0 ? md.ca.urls : md.ca.url === undefined ? [] : [md.ca.url],
    agreement: md.ca.agreement,
    externalAccount: md.eab === 'none' ? undefined : md.eab,
    contacts: md.contacts,
    challenges: challenge === undefined ? md.ca.challenges : [challenge],
    challengeDns01: command.length > 0 ? { command, version: 1 } : undefined,
    renewMode: renewModes[md['renew-mode']] ?? 'auto',
    renewWindow: parseSpan(md['renew-window']) ?? { percent: 33 },
    warnWindow: parseSpan(md['warn-window']) ?? { percent: 10 },
    keys: keys.length > 0 ? keys : [{ type: 'RSA', bits: 2048 }],
    requireHttps: md['require-https'] ?? 'off',
    caCertificateFile: options.caCertificateFile,
    renewViaAri: md['ari-renewals'],
    profile: md.profile,
    profileMandatory: md['profile-mandatory'],
    mustStaple: md['must-staple'],
    stapling: md.stapling,
    proxy: md['proxy-url'] === undefined ? undefined : { url: md['proxy-url'], caCertificateFile: undefined },
    staticFiles: (md['cert-files'] ?? []).map((certificateFile, index) => ({
      certificateFile,
      keyFile: md['pkey-files']?.[index] ?? certificateFile,
    })),
    used: true,
    reach: {
      http01: reach(http, 'the server of this store does not listen for http'),
      tlsAlpn01: reach(
        md.domains.length > 0 && md.domains.every((name) => md.proto['acme-tls/1'].includes(name)),
        'the server of this store does not speak acme-tls/1 for all names',
      ),
      dns01: reach(command.length > 0, 'there is no command for DNS challenges (MDChallengeDns01)'),
    },
  };
}

function reach(possible: boolean, reason: string): Reach {
  return possible ? { possible } : { possible, reason };
}
