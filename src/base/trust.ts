/** Whom this machine trusts: for every connection of ours to a server that nobody named a CA for. */
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';

/** Read once in a process: as everywhere, a changed trust store asks for a restart. */
let trust: SecureContext | undefined;

/**
 * What the system's administrator trusts, and NODE_EXTRA_CA_CERTS; where the system has none, Node's own list.
 * Takes tens of ms the first time.
 */
export function systemTrust(): SecureContext {
  if (trust) return trust;
  const system = getCACertificates('system');
  const anchors =
    system.length > 0 ? [...system, ...getCACertificates('extra')] : getCACertificates('default');
  return (trust = createSecureContext({ ca: [...new Set(anchors)] }));
}
