/** What the tests of faults have in common: configurations in a few words, and a client that tells what it was shown. */
import { once } from 'node:events';
import { request as plainRequest, type IncomingMessage } from 'node:http';
import { request as secureRequest } from 'node:https';
import { isIP } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';

export interface Ports {
  readonly http: number;
  readonly https: number;
}

/** The beginning of a configuration: both ports of the loopback, a document root, everything in the log. */
export function server({ http, https }: Ports, ...more: readonly string[]): string {
  return `
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https}
TLSEngine 127.0.0.1:${https}
Protocols http/1.1 acme-tls/1
LogLevel info md:debug
DocumentRoot htdocs
<Directory htdocs>
  Require all granted
</Directory>
${more.join('\n')}
`;
}

/** One page, without TLS. */
export function plain(port: number, ...more: readonly string[]): string {
  return `
Listen 127.0.0.1:${port}
Workers 1
LogLevel info
DocumentRoot htdocs
<Directory htdocs>
  Require all granted
</Directory>
${more.join('\n')}
`;
}

/** Virtual hosts on both ports. */
export function hosts({ http, https }: Ports, ...names: readonly string[]): string {
  return names
    .map((name) => `<VirtualHost *:${http} *:${https}>\n  ServerName ${name}\n</VirtualHost>\n`)
    .join('');
}

/** Managed domains of the embedded CA, which validates at `ports`; each has a virtual host. */
export function localAuthority(ports: Ports, caPort: number, ...names: readonly string[]): string {
  return `
LocalCA on 127.0.0.1:${caPort}
LocalCAPorts http:${ports.http} https:${ports.https}
${managed(ports, 'local', names)}`;
}

/** Managed domains of the CA at `authority`; each has a virtual host. */
export function managed(ports: Ports, authority: string, names: readonly string[]): string {
  return `
MDCertificateAuthority ${authority}
MDCertificateAgreement accepted
MDContactEmail admin@latchkey.test
MDPrivateKeys secp256r1
MDPortMap http:${ports.http} https:${ports.https}
${names.map((name) => `MDomain ${name}\n`).join('')}
${hosts(ports, ...names)}`;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Of the certificate, upper-case hex; empty over http. */
  readonly serial: string;
  /** Names in the certificate. */
  readonly names: string;
}

/** GET https://HOST:PORT/PATH at 127.0.0.1 in a connection of its own, trusting anybody. */
export async function getSecure(port: number, host: string, path = '/'): Promise<Answer> {
  const asking = secureRequest({
    host: isIP(host) === 6 ? host : '127.0.0.1',
    port,
    // Addresses are not asked for by SNI (RFC 6066).
    servername: isIP(host) ? '' : host,
    path,
    headers: { host: `${isIP(host) === 6 ? `[${host}]` : host}:${port}` },
    rejectUnauthorized: false,
    agent: false,
  });
  const [response] = (await once(asking.end(), 'response')) as [IncomingMessage];
  const certificate = (response.socket as TLSSocket).getPeerX509Certificate();
  return {
    status: response.statusCode ?? 0,
    body: await text(response),
    serial: certificate?.serialNumber ?? '',
    names: certificate?.subjectAltName ?? '',
  };
}

/** GET http://HOST:PORT/PATH at 127.0.0.1. */
export async function getPlain(port: number, host: string, path = '/'): Promise<Answer> {
  const asking = plainRequest({ host: '127.0.0.1', port, path, headers: { host }, agent: false });
  const [response] = (await once(asking.end(), 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, body: await text(response), serial: '', names: '' };
}

/** Whether nobody listens at a port of 127.0.0.1. */
export async function isClosed(port: number): Promise<boolean> {
  try {
    await getPlain(port, 'localhost');
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
  }
}
