/** A managed domain as md.json has it. */
import type { MdDocument } from '../../store/documents.ts';
import { formatKeySpecs, formatSpan } from '../../store/formats.ts';
import { isDamage } from './held.ts';
import type { ManagedDomainSettings } from '../settings.ts';

/** Numbers of md.json's `state`. */
export const mdState = { incomplete: 1, complete: 2, missing: 5 } as const;
const protocols = { acme: 'ACME', tailscale: 'tailscale' } as const;
const renewModes = { manual: 0, auto: 1, always: 2 } as const;

interface Judged {
  /** `missing`: the configuration lacks what the CA demands. */
  readonly state: keyof typeof mdState;
  readonly description: string;
}

/** What the configuration says, laid over what the store has: the account, and what we don't know of, stay. */
export function mdDocument(
  domain: ManagedDomainSettings,
  judged: Judged,
  before: MdDocument | undefined,
): MdDocument {
  const [key] = domain.keys;
  const defaultKey = domain.keys.length === 1 && key?.type === 'RSA' && key.bits === 2048;
  const inUse = domain.authorities.find((url) => url === before?.ca.url) ?? domain.authorities[0];
  return {
    ...before,
    name: domain.name,
    domains: domain.domains,
    contacts: domain.contacts,
    transitive: domain.transitive ? 1 : 0,
    ca: {
      ...before?.ca,
      proto: protocols[domain.protocol],
      url: inUse,
      urls: domain.authorities,
      agreement: domain.agreement,
      challenges: domain.challenges,
    },
    'cmd-dns-01': commandOf(domain),
    privkey: defaultKey ? undefined : formatKeySpecs(domain.keys),
    state: mdState[judged.state],
    'state-descr': judged.description || undefined,
    'renew-mode': renewModes[domain.renewMode],
    'renew-window': formatSpan(domain.renewWindow),
    'warn-window': formatSpan(domain.warnWindow),
    'cert-files': filesOf(domain.staticFiles.map(({ certificateFile }) => certificateFile)),
    'pkey-files': filesOf(domain.staticFiles.map(({ keyFile }) => keyFile)),
    eab: domain.externalAccount,
    'must-staple': domain.mustStaple,
    stapling: domain.stapling,
    profile: domain.profile,
    'profile-mandatory': domain.profileMandatory,
    'ari-renewals': domain.renewViaAri,
    'proxy-url': domain.proxy && withoutLogin(domain.proxy.url),
    'require-https': domain.requireHttps === 'off' ? undefined : domain.requireHttps,
    proto: { 'acme-tls/1': domain.reach.tlsAlpn01.possible ? domain.domains : [] },
  };
}

/** In staging, md.json is for everyone to read. */
function withoutLogin(url: string): string {
  return url.replace(/^([^/]*\/\/)[^/?#]*@/, '$1');
}

function filesOf(paths: readonly string[]): readonly string[] | undefined {
  return paths.length > 0 ? paths : undefined;
}

/** What a document of foreign making would be written as; undefined where it could not be. */
export function encodedIfValid(encode: () => string): string | undefined {
  try {
    return encode();
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Of what a program does by itself, the store knows nothing. */
function commandOf({ challengeDns01 }: ManagedDomainSettings): string | undefined {
  return challengeDns01 && 'command' in challengeDns01 ? challengeDns01.command.join(' ') : undefined;
}
