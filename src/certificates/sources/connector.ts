/** Connections to a certificate store. */
import { createSecureContext } from 'node:tls';
import { buildConnector } from 'undici';
import { sharedLookup } from '../../base/asking.ts';
import { systemTrust } from '../../base/trust.ts';
import type { DynamicStoreSettings, StoreUrl } from './settings.ts';

/**
 * How connections to a store are made; `connected` is told which protocol TLS agreed on. `ca`: PEM of
 * DynSSLStoreCAFile. The TLS context is made at the first https connection: a system's trust store takes tens of ms
 * to load.
 */
export function connector(
  { socketPath }: StoreUrl,
  settings: DynamicStoreSettings,
  ca: string | undefined,
  connected: (alpnProtocol: string | false | null) => void,
): buildConnector.connector {
  const options = {
    timeout: settings.timeout,
    allowH2: true,
    ...(socketPath === undefined ? { lookup: sharedLookup() } : { socketPath }),
  };
  const plain = buildConnector(options);
  let secure: buildConnector.connector | undefined;
  return (target, callback) => {
    if (target.protocol !== 'https:') return plain(target, callback);
    secure ??= buildConnector({
      ...options,
      secureContext: ca === undefined ? systemTrust() : createSecureContext({ ca }),
      rejectUnauthorized: settings.verify,
    });
    return secure(target, (...outcome) => {
      const [, socket] = outcome;
      if (socket && 'alpnProtocol' in socket) connected(socket.alpnProtocol);
      callback(...outcome);
    });
  };
}
