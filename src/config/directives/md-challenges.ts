/** Managed domains: how control of a name is proved, and at which ports it can be. */
import { commandOf } from '../command.ts';
import { declaring, type Directive, Refusal, servers } from '../directive.ts';
import type { Scope } from '../scope.ts';
import { portNumber } from '../values.ts';
import { everywhere, valuesOf } from './md-values.ts';

const directive = declaring<Scope>();

const challengeTypes = ['http-01', 'tls-alpn-01', 'dns-01', 'dns-account-01', 'dns-persist-01'];

export const challengeDirectives: readonly Directive<Scope>[] = [
  directive({
    name: 'MDCAChallenges',
    syntax: 'type …',
    contexts: everywhere,
    default: 'tls-alpn-01 http-01 dns-01, less what cannot work',
    doc: 'How to prove control of a name, preferred first: http-01, tls-alpn-01, dns-01; where the authority offers them, also dns-account-01 and dns-persist-01.',
    args: 'ITERATE',
    apply(scope, ...types) {
      const wanted = types.map((type) => type.toLowerCase());
      // mod_md takes any word, and finds out at the first renewal.
      for (const type of wanted.filter((one) => !challengeTypes.includes(one))) {
        scope.warn(
          'md',
          `MDCAChallenges: no challenge is called '${type}'; known are ${challengeTypes.join(', ')}`,
        );
      }
      valuesOf(scope).challenges = wanted;
    },
  }),
  directive({
    name: 'MDChallengeDns01',
    syntax: 'command [argument …]',
    contexts: everywhere,
    doc: 'What writes DNS records for dns-01, and so for wildcards: it is run with `setup NAME DATA` and `teardown NAME`, as User, for a minute at most. For dns-account-01 the whole name of the record is the last argument of both.',
    args: 'RAW_ARGS',
    apply(scope, text) {
      valuesOf(scope).challengeDns01 = commandOf(scope, 'MDChallengeDns01', text);
    },
  }),
  directive({
    name: 'MDChallengeDns01Version',
    syntax: '1|2',
    contexts: servers,
    default: '1',
    doc: 'With 2, the command of MDChallengeDns01 is given the data at `teardown`, too.',
    args: 'TAKE1',
    apply(scope, version) {
      if (version !== '1' && version !== '2') {
        throw new Refusal(`unknown '${version}', supported parameter values are '1' and '2'`);
      }
      valuesOf(scope).challengeDns01Version = version === '1' ? 1 : 2;
    },
  }),
  directive({
    name: 'MDPortMap',
    syntax: '80|http:port|- [443|https:port|-]',
    contexts: servers,
    default: '80:80 443:443',
    doc: 'The ports here where the internet’s 80 and 443 arrive; `-` where they do not.',
    args: 'TAKE12',
    apply(scope, ...maps) {
      for (const map of maps) if (map !== undefined) portMap(scope, map);
    },
  }),
];

function portMap(scope: Scope, map: string): void {
  const match = /^(80|http|443|https):(.*)$/i.exec(map);
  if (!match) throw new Refusal("no ':' after first port number: use 80:8080, http:-, 443:8443");
  const [, from = '', to = ''] = match;
  const port = to === '-' ? '-' : portNumber(to);
  if (port === undefined) throw new Refusal('invalid number for port map, must be in ]0,65535]');
  if (/^(80|http)$/i.test(from)) scope.server.md.httpPort = port;
  else scope.server.md.httpsPort = port;
}
