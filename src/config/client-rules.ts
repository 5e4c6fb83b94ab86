/** What counts of clients' certificates at a host: SSLVerifyDepth and SSLCARevocation…, and what contradicts itself. */
import type { HostDraft, TlsDraft } from './draft.ts';
import { ConfigError } from './errors.ts';
import type { DirectorySettings, HostTls, Section, Warning } from './settings.ts';

/** As mod_ssl has it: a client's certificate comes from a root at once. */
const DEFAULT_DEPTH = 1;

export function clientTls(
  own: TlsDraft,
  base: TlsDraft | undefined,
): Pick<HostTls, 'clientAuth' | 'clientCa' | 'clientCaPath' | 'clientDepth' | 'clientRevocation'> {
  const crl = own.crlCheck ?? base?.crlCheck;
  const files = [own.crlFile ?? base?.crlFile, own.crlPath ?? base?.crlPath];
  const paths = files.filter((path) => path !== undefined);
  return {
    clientAuth: (own.clientAuth ?? base?.clientAuth)?.mode ?? 'none',
    clientCa: own.clientCa ?? base?.clientCa,
    clientCaPath: own.clientCaPath ?? base?.clientCaPath,
    clientDepth: own.clientDepth ?? base?.clientDepth ?? DEFAULT_DEPTH,
    clientRevocation:
      crl && crl.check !== 'none' ? { check: crl.check, optional: crl.optional, paths } : undefined,
  };
}

/** Throws ConfigError where what is asked for can't be had; gives warnings where it may not be what was meant. */
export function checkClientAuth(host: HostDraft, base: HostDraft, tls: HostTls): Warning[] {
  if (tls.clientAuth === 'none') return demandsInVain(host);
  if (tls.clientCa === undefined && tls.clientCaPath === undefined)
    throw new ConfigError(
      `SSLVerifyClient ${tls.clientAuth} needs SSLCACertificateFile: the authorities whose client certificates count`,
      (host.tls.clientAuth ?? base.tls.clientAuth)?.at ?? host.at,
    );
  if (tls.clientRevocation?.paths.length === 0)
    throw new ConfigError(
      'AH01899: CRL checking has been enabled, but neither SSLCARevocationFile nor SSLCARevocationPath is configured',
      (host.tls.crlCheck ?? base.tls.crlCheck)?.at ?? host.at,
    );
  const listed = [host, base].some(({ tls: { crlFile, crlPath } }) => crlFile ?? crlPath);
  if (!listed || tls.clientRevocation || (host.tls.crlCheck ?? base.tls.crlCheck)) return [];
  return [
    {
      ...(host.at ?? { file: '', line: 0 }),
      module: 'ssl',
      message: 'revocation lists are configured and have no effect: add SSLCARevocationCheck chain',
    },
  ];
}

/** No handshake can be repeated within a connection, and Node has no authentication after it (RFC 8446 4.6.2). */
function demandsInVain(host: HostDraft): Warning[] {
  return host.sections.filter(demands).map(({ at }) => ({
    ...at,
    module: 'ssl',
    message:
      'SSLVerifyClient require in a section answers everybody with 403: the virtual host asks nobody for a certificate. Add SSLVerifyClient optional to the virtual host.',
  }));
}

function demands({ settings, sections }: Section): boolean {
  const { clientAuth }: DirectorySettings = settings;
  return clientAuth === 'require' || sections.some(demands);
}
