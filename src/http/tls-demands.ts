/** What a place asks of TLS beyond the handshake: SSLRequireSSL, SSLRequire, and SSLVerifyClient in a section. */
import type { Expression } from '../config/expression.ts';
import type { Exchange } from './exchange.ts';

/** Why the request may not have what is there (403), as httpd words it; undefined where it may. */
export function tlsRefusal(
  { connection, directory, host, path }: Exchange,
  holds: (condition: Expression) => boolean,
): string | undefined {
  if (directory.requireSsl && !connection.secure)
    return `AH02219: access to ${path} failed, reason: SSL connection required`;
  const unmet = directory.sslRequire?.find((condition) => !holds(condition));
  if (unmet)
    return `AH02229: access to ${path} failed, reason: SSL requirement expression not fulfilled: ${unmet.source}`;
  if (directory.clientAuth !== 'require' || connection.tls?.client !== undefined) return undefined;
  const asks = connection.secure && host.tls.clientAuth !== 'none';
  const why = asks
    ? 'the client has shown no certificate'
    : 'the virtual host asks for no client certificate, and a connection can’t be asked again: SSLVerifyClient optional belongs into the virtual host';
  return `AH02222: access to ${path} failed, reason: SSLVerifyClient require: ${why}`;
}
