/** Managed domains: mod_md's directives, and what Latchkey adds to them. */
import { isIP } from 'node:net';
import type { ExternalAccount } from '../../domains/settings.ts';
import { authorityNames, findAuthority, LOCAL } from '../authorities.ts';
import { Refusal, declaring, servers } from '../directive.ts';
import type { Directive, Family } from '../directive.ts';
import type { DomainDraft } from '../draft.ts';
import { externalAccountFrom } from '../external-account.ts';
import { keySpecs } from '../keys.ts';
import { words } from '../lexer.ts';
import { here, pathOf, within } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { sharing } from './md-sharing.ts';
import { preflight } from './preflight.ts';
import { onDemandDirectives } from './md-on-demand.ts';
import { canonicalAddress, duration, nonEmptyFile, onOff, windowOf } from '../values.ts';
import { authorityDirectives } from './md-authority.ts';
import { mdStaplingDirectives } from './stapling.ts';
import { challengeDirectives } from './md-challenges.ts';
import { hookDirectives } from './md-hooks.ts';
import { everywhere, valuesOf } from './md-values.ts';

const directive = declaring<Scope>();

function memberDirective(name: string): Directive<Scope> {
  return directive({
    name,
    syntax: 'name … | auto|manual',
    contexts: everywhere,
    default: 'auto',
    doc: 'More names of the managed domain, or whether ServerName and ServerAlias of its hosts become such.',
    args: 'TAKE_ARGV',
    apply(scope, ...members) {
      for (const member of members) {
        if (isMembership(member)) valuesOf(scope).transitive = member.toLowerCase() === 'auto';
        else if (scope.domain) addName(scope.domain, member);
        else throw new Refusal(`unknown value '${member}', use "auto|manual"; names belong inside <MDomain>`);
      }
    },
  });
}

function domainSection(name: string): Directive<Scope> {
  return directive({
    name: `<${name}`,
    syntax: 'name [name …] [auto|manual]',
    contexts: servers,
    doc: 'A managed domain with settings of its own.',
    args: 'RAW_ARGS',
    apply(scope, text) {
      const names = words(text);
      if (names.every(isMembership)) {
        throw new Refusal('<MDomainSet > section must specify a unique domain name');
      }
      const domain = defineDomain(scope, names);
      return within(scope, { domain, inside: { ...scope.inside, managedDomain: name } });
    },
  });
}

function renewModeDirective(name: string, doc: string): Directive<Scope> {
  return directive({
    name,
    syntax: 'auto|always|manual',
    contexts: everywhere,
    default: 'auto',
    doc,
    args: 'TAKE1',
    apply(scope, text) {
      const mode = renewModes[text.toLowerCase()];
      if (!mode) throw new Refusal(`unknown MDDriveMode ${text}; use auto, always or manual`);
      valuesOf(scope).renewMode = mode;
    },
  });
}

const renewModes: Readonly<Record<string, 'auto' | 'always' | 'manual'>> = {
  auto: 'auto',
  automatic: 'auto',
  always: 'always',
  manual: 'manual',
  stick: 'manual',
};

export const md: Family<Scope> = {
  module: 'md',
  title: 'Managed domains',
  directives: [
    directive({
      name: 'MDomain',
      syntax: 'name [name …] [auto|manual]',
      contexts: servers,
      doc: 'Names that share one certificate, which is obtained and renewed.',
      args: 'TAKE_ARGV',
      apply(scope, ...names) {
        if (names.every(isMembership)) throw new Refusal('needs at least one domain name');
        defineDomain(scope, names);
      },
    }),
    domainSection('MDomain'),
    domainSection('MDomainSet'),
    memberDirective('MDMember'),
    memberDirective('MDMembers'),
    directive({
      name: 'MDCertificateAuthority',
      syntax: 'URL|name …',
      contexts: everywhere,
      default: 'LetsEncrypt',
      doc: `Whom to ask for certificates, preferred first: the URL of a directory, or ${authorityNames}.`,
      args: 'ITERATE',
      apply(scope, ...names) {
        const values = valuesOf(scope);
        values.authorities = names.map((name) => authority(scope, name));
        if (values.authorities.includes(LOCAL)) values.localAuthority = here(scope);
        else delete values.localAuthority;
      },
    }),
    directive({
      name: 'MDCertificateProtocol',
      syntax: 'ACME|tailscale',
      contexts: everywhere,
      default: 'ACME',
      doc: 'How to talk to the authority: tailscale asks the tailscaled of this machine, whose socket MDCertificateAuthority names.',
      args: 'TAKE1',
      apply(scope, text) {
        const protocol = text.toLowerCase();
        if (protocol !== 'acme' && protocol !== 'tailscale') {
          throw new Refusal(`MDCertificateProtocol ${text} is not supported; use ACME or tailscale`);
        }
        valuesOf(scope).protocol = protocol;
      },
    }),
    directive({
      name: 'MDCertificateAgreement',
      syntax: 'accepted|URL',
      contexts: everywhere,
      doc: 'That you agree to the terms of service of the authority.',
      args: 'TAKE1',
      apply(scope, agreement) {
        valuesOf(scope).agreement = /^accepted$/i.test(agreement) ? 'accepted' : agreement;
      },
    }),
    directive({
      name: 'MDExternalAccountBinding',
      syntax: 'key-ID HMAC | file | none',
      contexts: everywhere,
      default: 'none',
      doc: 'The account that you have with the authority by other means: as it gave it to you, or in a JSON file with the members kid and hmac.',
      args: 'TAKE12',
      apply(scope, text, hmac) {
        valuesOf(scope).externalAccount = externalAccount(scope, text, hmac);
      },
    }),
    directive({
      name: 'MDContactEmail',
      syntax: 'mail-address',
      contexts: everywhere,
      default: 'ServerAdmin',
      doc: 'The contact that the authority gets.',
      args: 'TAKE1',
      apply(scope, address) {
        valuesOf(scope).contact = address;
      },
    }),
    directive({
      name: 'MDCACertificateFile',
      syntax: 'file|none',
      contexts: everywhere,
      default: 'the system’s',
      doc: 'PEM of the trust anchors for talking to the authority.',
      args: 'TAKE1',
      apply(scope, file) {
        valuesOf(scope).caCertificateFile =
          file.toLowerCase() === 'none' ? '' : nonEmptyFile('MDCACertificateFile', pathOf(scope, file));
      },
    }),
    ...authorityDirectives,
    ...mdStaplingDirectives,
    ...challengeDirectives,
    renewModeDirective(
      'MDRenewMode',
      'Whether to renew: auto where a host uses the domain, always, or manual for never.',
    ),
    renewModeDirective('MDDriveMode', 'The old name of MDRenewMode.'),
    directive({
      name: 'MDRenewWindow',
      syntax: 'duration|percent',
      contexts: everywhere,
      default: '33%',
      doc: 'How long before its end to renew a certificate: 14d, 12h, 30mi, 90s, or a share of its life.',
      args: 'TAKE1',
      apply(scope, text) {
        valuesOf(scope).renewWindow = windowOf('MDRenewWindow', text);
      },
    }),
    directive({
      name: 'MDWarnWindow',
      syntax: 'duration|percent',
      contexts: everywhere,
      default: '10%',
      doc: 'How long before its end a certificate that was not renewed is warned about.',
      args: 'TAKE1',
      apply(scope, text) {
        valuesOf(scope).warnWindow = windowOf('MDWarnWindow', text);
      },
    }),
    directive({
      name: 'MDPrivateKeys',
      syntax: 'Default | [RSA [bits]] [curve …]',
      contexts: everywhere,
      default: 'RSA 2048',
      doc: 'The kinds of key to have a certificate of: RSA, rsa3072, P-256, secp384r1 and others.',
      args: 'TAKE_ARGV',
      apply(scope, ...specs) {
        valuesOf(scope).keys = keySpecs(specs);
      },
    }),
    directive({
      name: 'MDRequireHttps',
      syntax: 'off|temporary|permanent',
      contexts: everywhere,
      default: 'off',
      doc: 'Redirects http to https; permanent also says so to browsers (HSTS).',
      args: 'TAKE1',
      apply(scope, text) {
        const mode = text.toLowerCase();
        if (mode !== 'off' && mode !== 'temporary' && mode !== 'permanent') {
          throw new Refusal(`unknown '${text}', supported parameter values are 'temporary' and 'permanent'`);
        }
        valuesOf(scope).requireHttps = mode;
      },
    }),
    directive({
      name: 'MDBaseServer',
      syntax: 'on|off',
      contexts: servers,
      default: 'off',
      doc: 'Whether what stands outside of all virtual hosts is managed, too.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.server.md.baseServer = onOff(text);
      },
    }),
    directive({
      name: 'MDStoreDir',
      syntax: 'folder',
      contexts: servers,
      default: 'md',
      doc: 'Where certificates, keys and accounts are kept.',
      args: 'TAKE1',
      apply(scope, folder) {
        scope.server.md.storeDir = pathOf(scope, folder);
      },
    }),
    directive({
      name: 'MDRetryDelay',
      syntax: 'duration',
      contexts: servers,
      default: '30s',
      doc: 'How long to wait after a first failure; doubled by each further one, up to a day.',
      args: 'TAKE1',
      apply(scope, text) {
        const delay = duration(text, 's');
        if (delay === undefined) throw new Refusal('unrecognized duration format: use 30s, 5mi, 1h');
        if (delay === 0) throw new Refusal('minimum delay must be greater than 0');
        scope.server.md.retryDelay = delay;
      },
    }),
    directive({
      name: 'MDRetryFailover',
      syntax: 'number',
      contexts: servers,
      default: '13',
      doc: 'After how many failures in a row with one of several authorities the next one is tried.',
      args: 'TAKE1',
      apply(scope, text) {
        if (!/^[1-9]\d{0,8}$/.test(text)) throw new Refusal('invalid argument, must be a number > 0');
        scope.server.md.retryFailover = Number(text);
      },
    }),
    directive({
      name: 'MDActivateOn',
      syntax: 'renewal|restart',
      contexts: servers,
      default: 'renewal',
      doc: 'When a new certificate is served: at once, or (as mod_md does) from the next restart on.',
      args: 'TAKE1',
      apply(scope, text) {
        const when = text.toLowerCase();
        if (when !== 'renewal' && when !== 'restart') {
          throw new Refusal(`unknown '${text}', supported parameter values are 'renewal' and 'restart'`);
        }
        scope.server.md.activateOn = when;
      },
    }),
    ...sharing,
    ...preflight,
    ...onDemandDirectives,
    ...hookDirectives,
  ],
};

function isMembership(word: string): boolean {
  return /^(auto|manual)$/i.test(word);
}

function defineDomain(scope: Scope, words: readonly string[]): DomainDraft {
  const domain: DomainDraft = {
    at: here(scope),
    names: [],
    values: {},
    certificateFiles: [],
    keyFiles: [],
    host: scope.host,
  };
  for (const word of words) {
    if (isMembership(word)) domain.values.transitive = word.toLowerCase() === 'auto';
    else addName(domain, word);
  }
  scope.server.domains.push(domain);
  return domain;
}

/** Names become folders of the store: nothing but a DNS name or an IP address gets through. */
function addName(domain: DomainDraft, text: string): void {
  const name = isIP(text) ? canonicalAddress(text) : text.toLowerCase();
  if (isIP(name) && !name.includes('%')) {
    if (!domain.names.includes(name)) domain.names.push(name);
    return;
  }
  if (name.length > 253 || !/^(\*\.)?[a-z\d_-]{1,63}(\.[a-z\d_-]{1,63})*$/.test(name)) {
    throw new Refusal(`'${text}' is no DNS name; write international names as xn--…`);
  }
  if (!domain.names.includes(name)) domain.names.push(name);
}

function authority(scope: Scope, text: string): string {
  const found = findAuthority(text);
  if ('problem' in found) {
    throw new Refusal(
      `The CA name '${text}' is not known and it is not a URL either (${found.problem}). Known CA names are: ${authorityNames}.`,
    );
  }
  if (found.closed)
    scope.warn('md', `MDCertificateAuthority: ${text} has stopped issuing certificates (2025-10)`);
  if (found.url !== LOCAL && !/^(?:https?|file):/i.test(found.url)) {
    throw new Refusal(`MDCertificateAuthority '${text}': scheme must be http or https`);
  }
  return found.url;
}

function externalAccount(scope: Scope, text: string, hmac: string | undefined): ExternalAccount | 'none' {
  if (hmac !== undefined) return { kid: text, hmac };
  return text.toLowerCase() === 'none' ? 'none' : externalAccountFrom(pathOf(scope, text));
}
