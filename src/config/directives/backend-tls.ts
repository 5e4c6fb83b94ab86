/** TLS towards `https://` backends: mod_ssl's directives, and mod_tls's. */
import { Refusal, anywhere, declaring } from '../directive.ts';
import { cipherCodes } from '../ciphers.ts';
import { here, pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import type { BackendTls, BackendTlsValues, CertificateFiles } from '../settings.ts';
import { nonEmptyFile, wholeNumber } from '../values.ts';
import { certificateFolder, cipherList, protocolVersions, revocationCheck } from './ssl-values.ts';
import { lowestVersion, preferredCiphers } from './tls-values.ts';

const directive = declaring<Scope>();

/** In servers and in <Proxy>: elsewhere in sections there is no backend yet. */
function checkPlace(scope: Scope, name: string): void {
  const { directory } = scope.inside;
  if (directory === undefined || directory.startsWith('Proxy')) return;
  throw new Refusal(`${name} not allowed in <${directory}> context`);
}

function change(scope: Scope, name: string, changes: Partial<BackendTls>): void {
  checkPlace(scope, name);
  const changed = { ...scope.directory.backendTls, ...changes };
  if (changed.sslEngine === true && changed.tlsEngine === true)
    throw new Refusal(
      'SSLProxyEngine on and TLSProxyEngine on are for the same backends here. Remove one of them.',
    );
  scope.directory.backendTls = changed;
}

type FamilyName = 'ssl' | 'tls';

function set(scope: Scope, name: string, family: FamilyName, values: BackendTlsValues): void {
  change(scope, name, { [family]: { ...scope.directory.backendTls?.[family], ...values } });
}

/** Paths that are there: files, or a folder of such for both. */
function addMachine(
  scope: Scope,
  name: string,
  family: FamilyName,
  certificateFile: string,
  keyFile: string,
) {
  const pair: CertificateFiles = { certificateFile, keyFile, chainFile: undefined, at: here(scope) };
  const machine = [...(scope.directory.backendTls?.[family]?.machine ?? []), pair];
  set(scope, name, family, { machine });
}

const VERIFY = {
  none: 'none',
  optional: 'require',
  require: 'require',
  optional_no_ca: 'any-issuer',
} as const;

function flag(name: string, doc: string, value: (on: boolean) => BackendTlsValues) {
  return directive({
    name,
    syntax: 'on|off',
    contexts: anywhere,
    default: 'on',
    doc,
    args: 'FLAG',
    apply: (scope, on) => set(scope, name, 'ssl', value(on)),
  });
}

export const sslBackendDirectives = [
  directive({
    name: 'SSLProxyEngine',
    syntax: 'on|off',
    contexts: anywhere,
    default: 'on',
    doc: 'SSLProxy… count for https backends; off leaves that to TLSProxyEngine, and turns nothing off.',
    args: 'FLAG',
    apply: (scope, on) => change(scope, 'SSLProxyEngine', { sslEngine: on }),
  }),
  directive({
    name: 'SSLProxyCACertificateFile',
    syntax: 'file',
    contexts: anywhere,
    default: 'the system’s authorities',
    doc: 'PEM of the authorities that https backends are verified with.',
    args: 'TAKE1',
    apply(scope, file) {
      const name = 'SSLProxyCACertificateFile';
      set(scope, name, 'ssl', { caFile: nonEmptyFile(name, pathOf(scope, file)) });
    },
  }),
  directive({
    name: 'SSLProxyCACertificatePath',
    syntax: 'folder',
    contexts: anywhere,
    doc: 'Folder of such files.',
    args: 'TAKE1',
    apply(scope, folder) {
      const name = 'SSLProxyCACertificatePath';
      set(scope, name, 'ssl', { caPath: certificateFolder(name, pathOf(scope, folder)) });
    },
  }),
  directive({
    name: 'SSLProxyVerify',
    syntax: 'none|optional|require|optional_no_ca',
    contexts: anywhere,
    default: 'require',
    doc: 'Whether the certificates of https backends must lead to a known authority.',
    args: 'TAKE1',
    apply(scope, text) {
      const verify = Object.entries(VERIFY).find(([name]) => name === text.toLowerCase())?.[1];
      if (!verify) throw new Refusal(`SSLProxyVerify: Invalid argument '${text}'`);
      set(scope, 'SSLProxyVerify', 'ssl', { verify });
    },
  }),
  directive({
    name: 'SSLProxyVerifyDepth',
    syntax: 'number',
    contexts: anywhere,
    default: 'any',
    doc: 'How many certificates may stand above a backend’s own.',
    args: 'TAKE1',
    apply(scope, text) {
      const name = 'SSLProxyVerifyDepth';
      set(scope, name, 'ssl', { depth: wholeNumber(name, text, 0, 100) });
    },
  }),
  flag('SSLProxyCheckPeerName', 'A backend’s certificate must be for the name in the URL.', (checkName) => ({
    checkName,
  })),
  flag('SSLProxyCheckPeerCN', 'Its older form; off counts unless SSLProxyCheckPeerName says on.', (on) => ({
    checkCommonName: on,
  })),
  flag(
    'SSLProxyCheckPeerExpire',
    'A backend’s certificate must be valid now, also if it isn’t verified.',
    (on) => ({
      checkExpiry: on,
    }),
  ),
  directive({
    name: 'SSLProxyMachineCertificateFile',
    syntax: 'file',
    contexts: anywhere,
    doc: 'PEM of certificates and their keys to show to backends that ask; one of each key type.',
    args: 'TAKE1',
    apply(scope, file) {
      const name = 'SSLProxyMachineCertificateFile';
      const path = nonEmptyFile(name, pathOf(scope, file));
      addMachine(scope, name, 'ssl', path, path);
    },
  }),
  directive({
    name: 'SSLProxyMachineCertificatePath',
    syntax: 'folder',
    contexts: anywhere,
    doc: 'Folder of such files, called *.pem, *.crt or as c_rehash calls them.',
    args: 'TAKE1',
    apply(scope, folder) {
      const name = 'SSLProxyMachineCertificatePath';
      const path = certificateFolder(name, pathOf(scope, folder));
      addMachine(scope, name, 'ssl', path, path);
    },
  }),
  directive({
    name: 'SSLProxyMachineCertificateChainFile',
    syntax: 'file',
    contexts: anywhere,
    doc: 'PEM of the authorities between those certificates and their root: they are shown, too.',
    args: 'TAKE1',
    apply(scope, file) {
      const name = 'SSLProxyMachineCertificateChainFile';
      set(scope, name, 'ssl', { machineChain: nonEmptyFile(name, pathOf(scope, file)) });
    },
  }),
  directive({
    name: 'SSLProxyCARevocationFile',
    syntax: 'file',
    contexts: anywhere,
    doc: 'PEM of lists of backends’ certificates that are revoked.',
    args: 'TAKE1',
    apply(scope, file) {
      const name = 'SSLProxyCARevocationFile';
      set(scope, name, 'ssl', { crlFile: nonEmptyFile(name, pathOf(scope, file)) });
    },
  }),
  directive({
    name: 'SSLProxyCARevocationPath',
    syntax: 'folder',
    contexts: anywhere,
    doc: 'Folder of such files.',
    args: 'TAKE1',
    apply(scope, folder) {
      const name = 'SSLProxyCARevocationPath';
      set(scope, name, 'ssl', { crlPath: certificateFolder(name, pathOf(scope, folder)) });
    },
  }),
  directive({
    name: 'SSLProxyCARevocationCheck',
    syntax: 'chain|leaf|none [no_crl_for_cert_ok]',
    contexts: anywhere,
    default: 'none',
    doc: 'Which certificates of a backend are looked up in the lists, and whether each needs one.',
    args: 'TAKE12',
    apply(scope, mode, option) {
      const name = 'SSLProxyCARevocationCheck';
      set(scope, name, 'ssl', { crlCheck: { ...revocationCheck(name, mode, option), at: here(scope) } });
    },
  }),
  directive({
    name: 'SSLProxyProtocol',
    syntax: '[+|-]protocol …',
    contexts: anywhere,
    default: 'all',
    doc: 'Versions of TLS towards backends: TLSv1.2 and TLSv1.3, all for both.',
    args: 'ITERATE',
    apply(scope, ...protocols) {
      const name = 'SSLProxyProtocol';
      set(scope, name, 'ssl', { versions: protocolVersions(scope, name, protocols) });
    },
  }),
  directive({
    name: 'SSLProxyCipherSuite',
    syntax: '[SSL|TLSv1.3] ciphers',
    contexts: anywhere,
    doc: 'OpenSSL’s list of ciphers for TLS 1.2 towards backends, or of suites for TLS 1.3.',
    args: 'TAKE12',
    apply: (scope, first, second) =>
      set(scope, 'SSLProxyCipherSuite', 'ssl', cipherList(scope, first, second)),
  }),
];

export const tlsBackendDirectives = [
  directive({
    name: 'TLSProxyEngine',
    syntax: 'on|off',
    contexts: anywhere,
    default: 'off',
    doc: 'TLSProxy… count for https backends, and not SSLProxy….',
    args: 'FLAG',
    apply: (scope, on) => change(scope, 'TLSProxyEngine', { tlsEngine: on }),
  }),
  directive({
    name: 'TLSProxyCA',
    syntax: 'file|default',
    contexts: anywhere,
    default: 'default (the system’s authorities)',
    doc: 'PEM of the authorities that https backends are verified with.',
    args: 'TAKE1',
    apply(scope, text) {
      const system = text.toLowerCase() === 'default';
      const caFile = system ? undefined : nonEmptyFile('TLSProxyCA', pathOf(scope, text));
      set(scope, 'TLSProxyCA', 'tls', { caFile });
    },
  }),
  directive({
    name: 'TLSProxyProtocol',
    syntax: 'default|TLSv1.2+|TLSv1.3+',
    contexts: anywhere,
    default: 'default (TLSv1.2+)',
    doc: 'The lowest version of TLS towards backends.',
    args: 'TAKE1',
    apply: (scope, text) =>
      set(scope, 'TLSProxyProtocol', 'tls', { versions: lowestVersion('TLSProxyProtocol', text) }),
  }),
  directive({
    name: 'TLSProxyCiphersPrefer',
    aliases: ['TLSProxyCipherPrefer'],
    syntax: 'cipher[:cipher …] …|default',
    contexts: anywhere,
    default: 'default',
    doc: 'Ciphers that are named first to backends.',
    args: 'ITERATE',
    apply(scope, ...words) {
      const name = 'TLSProxyCiphersPrefer';
      set(scope, name, 'tls', { preferred: preferredCiphers(scope, name, words) });
    },
  }),
  directive({
    name: 'TLSProxyCiphersSuppress',
    aliases: ['TLSProxyCipherSuppress'],
    syntax: 'cipher[:cipher …] …|none',
    contexts: anywhere,
    default: 'none',
    doc: 'Ciphers that are not named to backends.',
    args: 'ITERATE',
    apply(scope, ...words) {
      const name = 'TLSProxyCiphersSuppress';
      set(scope, name, 'tls', { suppressed: cipherCodes(name, words, 'none') });
    },
  }),
  directive({
    name: 'TLSProxyMachineCertificate',
    syntax: 'certificate [key]',
    contexts: anywhere,
    doc: 'A certificate to show to backends that ask; may be repeated, for one of each key type.',
    args: 'TAKE12',
    apply(scope, certificate, key) {
      const name = 'TLSProxyMachineCertificate';
      const path = (file: string) => nonEmptyFile(name, pathOf(scope, file));
      addMachine(scope, name, 'tls', path(certificate), path(key ?? certificate));
    },
  }),
];
