/**
 * Every step of life is one event, published on node:diagnostics_channel under `latchkey:…`. Log, status,
 * metrics and hooks subscribe; nobody is called directly. Payloads are plain data without secrets.
 */
import { channel } from 'node:diagnostics_channel';

export interface Events {
  'latchkey:renewal:started': { domain: string; reason: string };
  'latchkey:renewal:progress': { domain: string; step: string; detail: string };
  'latchkey:renewal:obtained': { domain: string; serials: readonly string[]; validFrom: number };
  'latchkey:renewal:failed': {
    domain: string;
    problem: { type: string; detail: string };
    errors: number;
    /** ms since the epoch; undefined: it is not tried again by itself. */
    nextRun: number | undefined;
  };
  'latchkey:certificate:installed': { domain: string; serials: readonly string[]; notAfter: number };
  /** Every worker has shown the new serials in a handshake (or `missing` names those that have not). */
  'latchkey:certificate:served': { domain: string; serials: readonly string[]; missing: readonly number[] };
  /** In its warn window, or past its end. */
  'latchkey:certificate:expiring': { domain: string; notAfter: number };
  'latchkey:challenge:ready': { domain: string; name: string; type: string };
  'latchkey:challenge:removed': { domain: string; name: string; type: string };
  /** A newer OCSP response is there. `domain`: of mod_md's folders, `other` for certificates that are not managed. */
  'latchkey:ocsp:renewed': {
    domain: string;
    /** SHA-1 of the certificate, lower-case hex. */
    id: string;
    status: 'good' | 'revoked';
    /** ms since the epoch. */
    validUntil: number;
  };
  'latchkey:ocsp:errored': {
    domain: string;
    id: string;
    problem: { type: string; detail: string };
    /** In a row. */
    errors: number;
    /** ms since the epoch. */
    nextRun: number;
  };
}

export type EventName = keyof Events;

export function publish<Name extends EventName>(name: Name, payload: Events[Name]): void {
  const target = channel(name);
  if (target.hasSubscribers) target.publish(payload);
}

/** Subscribes until disposed. */
export function subscribe<Name extends EventName>(
  name: Name,
  listener: (payload: Events[Name]) => void,
): Disposable {
  const target = channel(name);
  const handler = (message: unknown) => listener(message as Events[Name]);
  target.subscribe(handler);
  return {
    [Symbol.dispose]: () => {
      target.unsubscribe(handler);
    },
  };
}
