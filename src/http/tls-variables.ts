/**
 * The SSL_… variables of a request, by name or all that its place exports: mod_ssl's, and where TLSEngine has made
 * the host mod_tls's few. Nothing is computed before it is asked for. All texts are byte strings, '' is absent.
 */
import type { X509Certificate } from 'node:crypto';
import { toBytes } from '../config/expression-tree.ts';
import { hasOption } from '../config/merge.ts';
import { CertificateVariables } from '../tls/certificate-variables.ts';
import type { TlsFacts } from '../tls/facts.ts';
import type { LiveExchange } from './live.ts';
import { serverSoftware } from './pages.ts';

type Asked = Pick<LiveExchange, 'connection' | 'directory' | 'host' | 'started'>;

/** By name, in any case; whether or not the place exports it. */
export function tlsVariable(exchange: Asked, name: string): string {
  const { tls, sni } = exchange.connection;
  if (!tls) return '';
  const upper = name.toUpperCase();
  if (exchange.host.tls.family === 'tls' && !isOfModTls(upper)) return '';
  if (upper === 'SSL_TLS_SNI') return sni ?? '';
  const simple = ofConnection[upper];
  if (simple) return simple(tls, exchange) ?? '';
  const place = /^SSL_CLIENT_CERT_CHAIN_(\d{1,2})$/.exec(upper)?.[1];
  if (place !== undefined) return tls.clientIssuers?.()[Number(place)]?.toString() ?? '';
  const [, side, rest = ''] = /^SSL_(CLIENT|SERVER)_(.+)$/.exec(upper) ?? [];
  if (side === undefined || (side === 'SERVER' && ofClientsOnly.has(rest))) return '';
  const certificate = side === 'CLIENT' ? tls.client : tls.server?.();
  return certificate
    ? toBytes(variablesOf(certificate).get(rest, styleOf(exchange), exchange.started) ?? '')
    : '';
}

/** What `%{…}c` of a log means (mod_ssl). */
export const logNames: Readonly<Record<string, string>> = {
  version: 'SSL_PROTOCOL',
  cipher: 'SSL_CIPHER',
  subjectdn: 'SSL_CLIENT_S_DN',
  clientcert: 'SSL_CLIENT_S_DN',
  issuerdn: 'SSL_CLIENT_I_DN',
  cacert: 'SSL_CLIENT_I_DN',
};

/** One variable as the environment of the request has it: undefined where its place doesn't export it. */
export function exportedTlsVariable(exchange: Asked, name: string): string | undefined {
  const { standard, certificates, always } = namesOf(exchange);
  const isPart = exchange.host.tls.family === 'ssl' && /^SSL_(?:CLIENT|SERVER)_(?:[SI]_DN_|SAN_)/.test(name);
  const isExported =
    always.includes(name) ||
    (isOn(exchange, 'StdEnvVars') && (isPart || standard.includes(name))) ||
    (isOn(exchange, 'ExportCertData') &&
      (certificates.includes(name) || /^SSL_CLIENT_CERT_CHAIN_\d+$/.test(name)));
  const value = isExported ? tlsVariable(exchange, name) : '';
  return value === '' ? undefined : value;
}

/** All that the place exports. */
export function* exportedTlsVariables(exchange: Asked): Generator<readonly [name: string, value: string]> {
  const { tls } = exchange.connection;
  if (!tls) return;
  const { standard, certificates, always } = namesOf(exchange);
  const names = [...always, ...(isOn(exchange, 'StdEnvVars') ? standard : [])];
  for (const name of names) {
    const value = tlsVariable(exchange, name);
    if (value !== '') yield [name, value];
  }
  if (isOn(exchange, 'StdEnvVars') && exchange.host.tls.family === 'ssl') {
    yield* components('SSL_CLIENT', tls.client);
    yield* components('SSL_SERVER', tls.server?.());
  }
  if (!isOn(exchange, 'ExportCertData')) return;
  // Empty without a certificate, as in httpd.
  for (const name of certificates) yield [name, tlsVariable(exchange, name)];
  for (const [index, issuer] of (tls.clientIssuers?.() ?? []).entries())
    yield [`SSL_CLIENT_CERT_CHAIN_${index}`, issuer.toString()];
}

function* components(prefix: string, certificate: X509Certificate | undefined) {
  if (!certificate) return;
  for (const [name, value] of variablesOf(certificate).components()) {
    yield [`${prefix}_${name}`, toBytes(value)] as const;
  }
}

const ofConnection: Readonly<Record<string, (tls: TlsFacts, exchange: Asked) => string | undefined>> = {
  SSL_PROTOCOL: ({ protocol }) => protocol,
  SSL_CIPHER: ({ cipher }) => cipher,
  SSL_CIPHER_EXPORT: () => 'false',
  SSL_CIPHER_USEKEYSIZE: keySize,
  SSL_CIPHER_ALGKEYSIZE: keySize,
  SSL_CLIENT_VERIFY: ({ client }) => (client ? 'SUCCESS' : 'NONE'),
  SSL_COMPRESS_METHOD: () => 'NULL',
  SSL_SECURE_RENEG: ({ secureRenegotiation }, { host }) =>
    String(host.tls.family === 'ssl' && secureRenegotiation === true),
  SSL_SESSION_ID: (tls) => tls.sessionId?.(),
  SSL_SESSION_RESUMED: ({ resumed }) => (resumed ? 'Resumed' : 'Initial'),
  SSL_VERSION_INTERFACE: () => serverSoftware,
  SSL_VERSION_LIBRARY: () => `OpenSSL/${process.versions.openssl}`,
};

const ofModTls: Names = {
  always: ['SSL_TLS_SNI', 'SSL_PROTOCOL', 'SSL_CIPHER'],
  standard: [
    'SSL_VERSION_INTERFACE',
    'SSL_VERSION_LIBRARY',
    'SSL_SECURE_RENEG',
    'SSL_COMPRESS_METHOD',
    'SSL_CIPHER_EXPORT',
    'SSL_CLIENT_VERIFY',
    'SSL_SESSION_RESUMED',
  ],
  certificates: ['SSL_SERVER_CERT', 'SSL_CLIENT_CERT'],
};

const ofCertificates = ['M_VERSION', 'M_SERIAL', 'V_START', 'V_END', 'S_DN', 'I_DN', 'A_KEY', 'A_SIG'];
const ofClientsOnly: ReadonlySet<string> = new Set(['V_REMAIN', 'CERT_RFC4523_CEA']);

const ofModSsl: Names = {
  always: ['SSL_TLS_SNI'],
  standard: [
    ...Object.keys(ofConnection),
    ...[...ofCertificates, ...ofClientsOnly].map((name) => `SSL_CLIENT_${name}`),
    ...ofCertificates.map((name) => `SSL_SERVER_${name}`),
  ],
  certificates: ['SSL_SERVER_CERT', 'SSL_CLIENT_CERT'],
};

interface Names {
  readonly always: readonly string[];
  readonly standard: readonly string[];
  readonly certificates: readonly string[];
}

function namesOf({ host }: Asked): Names {
  return host.tls.family === 'tls' ? ofModTls : ofModSsl;
}

function isOfModTls(name: string): boolean {
  const { always, standard, certificates } = ofModTls;
  return [...always, ...standard, ...certificates].includes(name);
}

function isOn({ host, directory }: Asked, option: string): boolean {
  const options = host.tls.family === 'tls' ? directory.tlsOptions : directory.sslOptions;
  return hasOption(options, option) === true;
}

function styleOf({ directory }: Asked): { legacy: boolean } {
  return { legacy: hasOption(directory.sslOptions, 'LegacyDNStringFormat') === true };
}

/** Bits of the cipher's key, by its name. */
function keySize({ cipher }: TlsFacts): string | undefined {
  if (cipher.includes('CHACHA20')) return '256';
  return /(?:AES|ARIA|CAMELLIA)[-_]?(128|256)/.exec(cipher)?.[1];
}

/** What was taken apart is kept as long as the certificate is. */
const takenApart = new WeakMap<X509Certificate, CertificateVariables>();

function variablesOf(certificate: X509Certificate): CertificateVariables {
  let variables = takenApart.get(certificate);
  if (!variables) takenApart.set(certificate, (variables = new CertificateVariables(certificate)));
  return variables;
}
