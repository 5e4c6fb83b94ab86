/**
 * Latchkey as a library: automatic HTTPS for Node programs. `Latchkey.open()` is where it begins; docs/library.md is
 * the guide.
 */
export { Latchkey, type RenewedCertificates, type SniCallback } from './library/latchkey.ts';
export type {
  ChallengeType,
  KeyKind,
  LatchkeyOptions,
  LocalCaOptions,
  LogSink,
  OnDemandOptions,
  RenewOptions,
  TlsSettings,
  WaitOptions,
} from './library/options.ts';
export type { LatchkeyEvents } from './library/events.ts';
export type { FailedHandshake } from './library/failed-handshakes.ts';
export type { App, Listening, ListenOptions } from './library/listening.ts';
export type { ChallengeHandler } from './library/plain-http.ts';
export type { SecureOptions } from './library/secure.ts';
export type { CertificateReport, ServedCertificate } from './library/status.ts';
export type { CertificateIssuer, CertificateRequest } from './library/own-issuer.ts';
export type { DnsProvider, OnDemandDecision } from './domains/settings.ts';
export { PostponedError, type Problem, RenewalError } from './domains/issuer.ts';
export { LatchkeyError } from './base/errors.ts';
export type { Clock } from './base/clock.ts';
export { MemoryStore } from './store/memory.ts';
export { type Group, groups, type Store, StoreError } from './store/store.ts';
export { StoreKey } from './store/storekey.ts';
export type { Lease, Leases } from './store/leases.ts';
