/** Which variables of TLS a place gives to its scripts and logs, by mod_ssl's directives and by mod_tls's. */
import { Refusal, anywhere, declaring } from '../directive.ts';
import { changeOptions } from '../merge.ts';
import type { Scope } from '../scope.ts';
import type { OptionsChange } from '../settings.ts';

const directive = declaring<Scope>();

export const sslOptionDirectives = [
  directive({
    name: 'SSLOptions',
    syntax: '[+|-]option …',
    contexts: anywhere,
    doc: 'Variables for scripts and logs: StdEnvVars, ExportCertData; LegacyDNStringFormat for names as /C=…/CN=….',
    args: 'ITERATE',
    apply: sslOptions,
  }),
  directive({
    name: 'SSLUserName',
    syntax: 'variable',
    contexts: anywhere,
    doc: 'The variable, such as SSL_CLIENT_S_DN_CN, that becomes REMOTE_USER.',
    args: 'TAKE1',
    apply(scope, variable) {
      if (!/^SSL_\w+$/i.test(variable)) {
        throw new Refusal(
          `SSLUserName: '${variable}' is no variable of TLS; use one like SSL_CLIENT_S_DN_CN`,
        );
      }
      scope.directory.userName = variable;
    },
  }),
];

export const tlsOptionDirectives = [
  directive({
    name: 'TLSOptions',
    syntax: '[+|-]option …',
    contexts: anywhere,
    doc: 'Variables for scripts and logs: StdEnvVars, ExportCertData; Defaults forgets what is inherited.',
    args: 'ITERATE',
    apply(scope, ...words) {
      for (const word of words) {
        const change = tlsOption(word);
        scope.directory.tlsOptions = changeOptions(scope.directory.tlsOptions, change);
      }
    },
  }),
];

/** What each has no effect for, or undefined for those that have one. */
const sslKnown: ReadonlyMap<string, string | undefined> = new Map([
  ['StdEnvVars', undefined],
  ['ExportCertData', undefined],
  ['LegacyDNStringFormat', undefined],
  // Nothing can let a client in whom a demand for TLS refuses.
  ['StrictRequire', undefined],
  ['FakeBasicAuth', 'no passwords are checked here; SSLUserName names the user'],
  ['OptRenegotiate', 'nothing is renegotiated here'],
]);

/** A bare option replaces what stands before it, on the same line, too: as in mod_ssl. */
function sslOptions(scope: Scope, ...words: string[]): void {
  for (const [index, word] of words.entries()) {
    const sign = /^[+-]/.exec(word)?.[0];
    const option = sign === undefined ? word : word.slice(1);
    if (!sslKnown.has(option)) throw new Refusal(`SSLOptions: Illegal option '${option}'`);
    const idle = sslKnown.get(option);
    if (idle !== undefined && sign !== '-') scope.warn('ssl', `SSLOptions: ${option} has no effect: ${idle}`);
    if (sign === undefined && index > 0) {
      scope.warn('ssl', `SSLOptions: '${word}' undoes what stands before it; write +${word} to add to that`);
    }
    scope.directory.sslOptions = changeOptions(scope.directory.sslOptions, changeBy(sign, option));
  }
}

function changeBy(sign: string | undefined, option: string): OptionsChange {
  if (sign === '+') return { kind: 'change', add: [option], remove: [] };
  if (sign === '-') return { kind: 'change', add: [], remove: [option] };
  return { kind: 'set', options: [option] };
}

function tlsOption(word: string): OptionsChange {
  const lower = word.replace(/^[+-]/, '').toLowerCase();
  if (lower === 'defaults') return { kind: 'set', options: [] };
  const option = ['StdEnvVars', 'ExportCertData'].find((one) => one.toLowerCase() === lower);
  if (option === undefined) throw new Refusal(`TLSOptions: unknown option '${word}'`);
  return changeBy(word.startsWith('-') ? '-' : '+', option);
}
