/** OCSP stapling: mod_md's directives, and those of mod_ssl's that count. */
import { declaring, type Directive, servers } from '../directive.ts';
import type { Scope } from '../scope.ts';
import { httpUrl, interval, windowOf } from '../values.ts';
import { everywhere, flag } from './md-values.ts';

const directive = declaring<Scope>();

function windowDirective(
  name: string,
  key: 'staplingRenewWindow' | 'staplingKeepResponse',
  standard: string,
  doc: string,
): Directive<Scope> {
  return directive({
    name,
    syntax: 'duration|percent',
    contexts: everywhere,
    default: standard,
    doc,
    args: 'TAKE1',
    apply(scope, text) {
      scope.server.md[key] = windowOf(name, text);
    },
  });
}

export const mdStaplingDirectives: readonly Directive<Scope>[] = [
  flag(
    'MDStapling',
    'stapling',
    'off',
    'Whether certificates are shown with an OCSP response; SSLUseStapling of a host decides for that host.',
  ),
  flag(
    'MDStapleOthers',
    'stapleOthers',
    'on',
    'Whether MDStapling is also for certificates that no managed domain has.',
  ),
  windowDirective(
    'MDStaplingRenewWindow',
    'staplingRenewWindow',
    '33%',
    'How long before the end of an OCSP response to get another one: 1d, 12h, or a share of its life. It counts for all.',
  ),
  windowDirective(
    'MDStaplingKeepResponse',
    'staplingKeepResponse',
    '7d',
    'For how long an OCSP response that is over stays in the store. It counts for all.',
  ),
];

export const sslStaplingDirectives: readonly Directive<Scope>[] = [
  directive({
    name: 'SSLUseStapling',
    syntax: 'On|Off',
    contexts: servers,
    default: 'as MDStapling',
    doc: 'Whether the certificates of this host are shown with an OCSP response, whatever MDStapling says.',
    args: 'FLAG',
    apply(scope, on) {
      scope.host.tls.stapling = on;
    },
  }),
  directive({
    name: 'SSLStaplingForceURL',
    syntax: 'URL',
    contexts: servers,
    default: 'what the certificate names',
    doc: 'The OCSP responder to ask about the certificates of this host.',
    args: 'TAKE1',
    apply(scope, url) {
      scope.host.tls.staplingUrl = httpUrl('SSLStaplingForceURL', url);
    },
  }),
  directive({
    name: 'SSLStaplingResponderTimeout',
    syntax: 'seconds',
    contexts: servers,
    default: '10',
    doc: 'How long an OCSP responder may take for one answer.',
    args: 'TAKE1',
    apply(scope, text) {
      // At none nothing could ever be answered.
      scope.host.tls.staplingTimeout = Math.max(interval('SSLStaplingResponderTimeout', text), 1);
    },
  }),
];
