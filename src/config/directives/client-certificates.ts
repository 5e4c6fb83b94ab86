/** What clients have to show: mod_ssl's directives about their certificates. */
import { explain } from '../../base/errors.ts';
import type { Expression } from '../expression.ts';
import { parseSslRequire } from '../ssl-require.ts';
import { Refusal, anywhere, declaring, servers } from '../directive.ts';
import { here, pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { nonEmptyFile, wholeNumber } from '../values.ts';
import { certificateFolder, revocationCheck } from './ssl-values.ts';

const directive = declaring<Scope>();

function file(name: string, doc: string, take: (scope: Scope, path: string) => void) {
  return directive({
    name,
    syntax: 'file',
    contexts: servers,
    doc,
    args: 'TAKE1',
    apply: (scope, path) => take(scope, nonEmptyFile(name, pathOf(scope, path))),
  });
}

function folder(name: string, doc: string, take: (scope: Scope, path: string) => void) {
  return directive({
    name,
    syntax: 'folder',
    contexts: servers,
    doc,
    args: 'TAKE1',
    apply: (scope, path) => take(scope, certificateFolder(name, pathOf(scope, path))),
  });
}

function parsed(text: string): Expression {
  try {
    return parseSslRequire(text);
  } catch (error) {
    throw new Refusal(`SSLRequire: ${explain(error)}`);
  }
}

/** TLS of Node sends the names of the authorities that it verifies with, and no others. */
function withoutEffect(name: string, syntax: string) {
  return directive({
    name,
    syntax,
    contexts: servers,
    doc: 'Is read and has no effect: the names that are sent are those of SSLCACertificateFile.',
    args: 'TAKE1',
    apply: (scope) =>
      scope.warn('ssl', `${name} has no effect: clients are told of SSLCACertificateFile’s names`),
  });
}

export const sslClientDirectives = [
  directive({
    name: 'SSLVerifyClient',
    syntax: 'none|optional|require',
    contexts: anywhere,
    default: 'none',
    doc: 'Whether clients must show a certificate of SSLCACertificateFile. In a section, who has shown none gets 403.',
    args: 'TAKE1',
    apply(scope, text) {
      const mode = text.toLowerCase();
      if (mode === 'optional_no_ca') {
        throw new Refusal('SSLVerifyClient optional_no_ca is not supported: use optional or require');
      }
      if (mode !== 'none' && mode !== 'optional' && mode !== 'require') {
        throw new Refusal(`SSLVerifyClient: Invalid argument '${text}'`);
      }
      if (scope.inside.directory === undefined) scope.host.tls.clientAuth = { mode, at: here(scope) };
      else scope.directory.clientAuth = mode;
    },
  }),
  directive({
    name: 'SSLVerifyDepth',
    syntax: 'number',
    contexts: servers,
    default: '1',
    doc: 'How many certificates may stand above a client’s own, the root included.',
    args: 'TAKE1',
    apply(scope, text) {
      scope.host.tls.clientDepth = wholeNumber('SSLVerifyDepth', text, 0, 100);
    },
  }),
  file('SSLCACertificateFile', 'PEM of the authorities whose client certificates count.', (scope, path) => {
    scope.host.tls.clientCa = path;
  }),
  folder('SSLCACertificatePath', 'Folder of such files.', (scope, path) => {
    scope.host.tls.clientCaPath = path;
  }),
  withoutEffect('SSLCADNRequestFile', 'file'),
  withoutEffect('SSLCADNRequestPath', 'folder'),
  file('SSLCARevocationFile', 'PEM of lists of client certificates that are revoked.', (scope, path) => {
    scope.host.tls.crlFile = path;
  }),
  folder('SSLCARevocationPath', 'Folder of such files.', (scope, path) => {
    scope.host.tls.crlPath = path;
  }),
  directive({
    name: 'SSLCARevocationCheck',
    syntax: 'chain|leaf|none [no_crl_for_cert_ok]',
    contexts: servers,
    default: 'none',
    doc: 'Which certificates of a client are looked up in the lists, and whether each needs one.',
    args: 'TAKE12',
    apply(scope, mode, option) {
      const asked = revocationCheck('SSLCARevocationCheck', mode, option);
      scope.host.tls.crlCheck = { ...asked, at: here(scope) };
    },
  }),
  directive({
    name: 'SSLOCSPEnable',
    syntax: 'off',
    contexts: servers,
    default: 'off',
    doc: 'Responders of clients’ certificates are not asked: SSLCARevocationFile says which are revoked.',
    args: 'TAKE12',
    apply(_, mode) {
      if (mode.toLowerCase() === 'off') return;
      throw new Refusal(
        `SSLOCSPEnable ${mode} is not supported by Latchkey, which asks no responder while a client waits: use SSLCARevocationFile and SSLCARevocationCheck`,
      );
    },
  }),
  directive({
    name: 'SSLRequireSSL',
    syntax: '',
    contexts: ['directory'],
    doc: 'Who does not come by https gets 403.',
    args: 'NO_ARGS',
    apply(scope) {
      scope.directory.requireSsl = true;
    },
  }),
  directive({
    name: 'SSLRequire',
    syntax: 'expression',
    contexts: ['directory'],
    doc: 'Who does not meet it gets 403, by plain HTTP, too. All of a place must be met. Require expr is its successor.',
    args: 'RAW_ARGS',
    apply(scope, text) {
      if (text === '') throw new Refusal('SSLRequire needs an expression');
      scope.directory.sslRequire = [...(scope.directory.sslRequire ?? []), parsed(text)];
    },
  }),
];
