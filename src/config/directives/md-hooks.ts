/** Managed domains: commands at events, times of checks, certificates from files. */
import { commandOf } from '../command.ts';
import { type Context, type Directive, declaring, Refusal, servers } from '../directive.ts';
import { pathOf, type Scope } from '../scope.ts';
import { duration, nonEmptyFile } from '../values.ts';

const directive = declaring<Scope>();

const domainOnly: readonly Context[] = ['managed domain'];

function time(text: string, bareUnit: 's' | 'd'): number {
  const ms = duration(text, bareUnit);
  if (ms === undefined) throw new Refusal('unrecognized duration format: use 30s, 5mi, 12h, 1d');
  return ms;
}

export const hookDirectives: readonly Directive<Scope>[] = [
  directive({
    name: 'MDNotifyCmd',
    syntax: 'command [argument …]',
    contexts: servers,
    doc: 'Is run with the domain’s name when its certificate was renewed; again later, until it ends with 0. As User, for a minute at most.',
    args: 'RAW_ARGS',
    apply(scope, text) {
      scope.server.md.notifyCommand = commandOf(scope, 'MDNotifyCmd', text);
    },
  }),
  directive({
    name: 'MDMessageCmd',
    syntax: 'command [argument …]',
    contexts: servers,
    doc: 'Is run with an event and the domain’s name: renewing, challenge-setup:TYPE:NAME, renewed, installed (as who started the server), expiring, errored, ocsp-renewed, ocsp-errored. For a minute at most.',
    args: 'RAW_ARGS',
    apply(scope, text) {
      scope.server.md.messageCommand = commandOf(scope, 'MDMessageCmd', text);
    },
  }),
  directive({
    name: 'MDCheckInterval',
    syntax: 'duration',
    contexts: servers,
    default: '12h',
    doc: 'How often to look at domains where nothing is due; up to half of it earlier or later.',
    args: 'TAKE1',
    apply(scope, text) {
      const interval = time(text, 's');
      if (interval < 1000) throw new Refusal('check interval cannot be less than one second');
      scope.server.md.checkInterval = interval;
    },
  }),
  directive({
    name: 'MDInitialDelay',
    syntax: 'duration',
    contexts: servers,
    default: '0s',
    doc: 'How long after a start the first renewals wait.',
    args: 'TAKE1',
    apply(scope, text) {
      if (text.startsWith('-')) throw new Refusal('initial delay must not be negative');
      scope.server.md.initialDelay = time(text, 's');
    },
  }),
  directive({
    name: 'MDActivationDelay',
    syntax: 'duration',
    contexts: servers,
    default: 'none',
    doc: 'How long a new certificate waits while the one in use is good, for clients whose clocks go wrong.',
    args: 'TAKE1',
    apply(scope, text) {
      scope.server.md.activationDelay = time(text, 'd');
    },
  }),
  directive({
    name: 'MDMatchNames',
    syntax: 'all|servernames',
    contexts: servers,
    default: 'all',
    doc: 'Which names of a host make it one of a managed domain: also its aliases, or ServerName alone.',
    args: 'TAKE1',
    apply(scope, text) {
      const names = text.toLowerCase();
      if (names !== 'all' && names !== 'servernames') {
        throw new Refusal("invalid argument, must be a 'all' or 'servernames'");
      }
      scope.server.md.matchNames = names;
    },
  }),
  directive({
    name: 'MDCertificateFile',
    syntax: 'file',
    contexts: domainOnly,
    doc: 'PEM of a certificate and its chain that comes from elsewhere; again for one of another key type.',
    args: 'TAKE1',
    apply(scope, file) {
      scope.domain?.certificateFiles.push(nonEmptyFile('MDCertificateFile', pathOf(scope, file)));
    },
  }),
  directive({
    name: 'MDCertificateKeyFile',
    syntax: 'file',
    contexts: domainOnly,
    doc: 'PEM of the key; the first belongs to the first MDCertificateFile, and so on.',
    args: 'TAKE1',
    apply(scope, file) {
      scope.domain?.keyFiles.push(nonEmptyFile('MDCertificateKeyFile', pathOf(scope, file)));
    },
  }),
];
