/** mod_ssl's directives about sessions that are resumed. */
import { declaring, servers } from '../directive.ts';
import { pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { nonEmptyFile, wholeNumber } from '../values.ts';

const directive = declaring<Scope>();

/** Seconds. TLS 1.3 knows none that is longer (RFC 8446 section 4.6.1). */
const LONGEST = 604_800;

export const sslSessionDirectives = [
  directive({
    name: 'SSLSessionTickets',
    syntax: 'On|Off',
    contexts: servers,
    default: 'On',
    doc: 'Clients may resume sessions, by tickets that all workers open. Off: every handshake is a whole one.',
    args: 'FLAG',
    apply(scope, on) {
      scope.host.tls.sessionTickets = on;
    },
  }),
  directive({
    name: 'SSLSessionCacheTimeout',
    syntax: 'seconds',
    contexts: servers,
    default: '300',
    doc: 'How long a session may be resumed; a week at most.',
    args: 'TAKE1',
    apply(scope, text) {
      scope.host.tls.sessionTimeout = wholeNumber('SSLSessionCacheTimeout', text, 0, LONGEST);
    },
  }),
  directive({
    name: 'SSLSessionTicketKeyFile',
    syntax: 'file',
    contexts: servers,
    doc: '48 random bytes: the key of tickets, for servers that share it. Without it the keys are random, and change every hour or, if that is longer, every SSLSessionCacheTimeout.',
    args: 'TAKE1',
    apply(scope, file) {
      scope.host.tls.ticketKeyFile = nonEmptyFile('SSLSessionTicketKeyFile', pathOf(scope, file));
    },
  }),
];
