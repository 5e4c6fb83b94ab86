/** What tests of this room have in common. */
import type { KeyObject } from 'node:crypto';
import { issueFor } from '../acme/issue.testing.ts';
import type { Clock } from '../base/clock.ts';
import { createCsr } from '../pki/csr.ts';
import { generateKey, keyFileSuffix } from '../pki/keys.ts';
import type { KeySpec } from '../pki/keyspec.ts';
import { savePrivateKey } from '../store/keys.ts';
import type { Group, Store } from '../store/store.ts';
import { chainFile, keyFile } from './stored/held.ts';
import type { ManagedDomainSettings } from './settings.ts';

export const DAY = 24 * 60 * 60 * 1000;
export const P256: KeySpec = { type: 'EC', name: 'p-256' };
export const P384: KeySpec = { type: 'EC', name: 'secp384r1' };

export function settings(
  name: string,
  overrides: Partial<ManagedDomainSettings> = {},
): ManagedDomainSettings {
  return {
    name,
    domains: [name],
    transitive: false,
    protocol: 'acme',
    authorities: ['https://ca.example/dir'],
    agreement: 'accepted',
    externalAccount: undefined,
    contacts: ['mailto:admin@example.org'],
    challenges: undefined,
    challengeDns01: undefined,
    renewMode: 'auto',
    renewWindow: { percent: 33 },
    warnWindow: { percent: 10 },
    keys: [P256],
    renewViaAri: true,
    profile: undefined,
    profileMandatory: false,
    mustStaple: false,
    stapling: false,
    requireHttps: 'off',
    caCertificateFile: undefined,
    proxy: undefined,
    staticFiles: [],
    used: true,
    reach: {
      http01: { possible: true },
      tlsAlpn01: { possible: true },
      dns01: { possible: false, reason: 'no MDChallengeDns01 is configured' },
    },
    ...overrides,
  };
}

export interface Made {
  readonly names: readonly string[];
  readonly spec?: KeySpec;
  readonly key?: KeyObject;
  /** ms since the epoch; default: for 90 days from 2026-11-22, when a TestClock begins. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/** A certificate of an unknown CA and its key. */
export async function makePair(made: Made): Promise<{ readonly pem: string; readonly key: KeyObject }> {
  const key = made.key ?? (await generateKey(made.spec ?? P256));
  const notBefore = made.notBefore ?? Date.parse('2026-11-22T06:00:00Z');
  const notAfter = made.notAfter ?? notBefore + 90 * DAY;
  const pem = await issueFor(await createCsr({ key, names: made.names }), { notBefore, notAfter });
  return { pem, key };
}

/** Puts a certificate and its key into a group. */
export async function put(store: Store, group: Group, name: string, made: Made): Promise<string> {
  const { pem, key } = await makePair(made);
  const suffix = keyFileSuffix(made.spec ?? P256);
  await savePrivateKey(store, group, name, keyFile(suffix), key);
  await store.save(group, name, chainFile(suffix), pem);
  return pem;
}

/** Real time, in which nobody waits long: for foreign software that needs some. */
export const impatientClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, options) =>
    new Promise((resolve, reject) => {
      const { signal } = options ?? {};
      signal?.throwIfAborted();
      const abort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
        Math.max(0, Math.min(ms, 20)),
      );
      signal?.addEventListener('abort', abort, { once: true });
    }),
};

/** Turns of the event loop without a pause; what takes longer waits for a disk or another process. */
const BUSY_TURNS = 10_000;
/** With a pause of 1 ms each. */
const PATIENT_TURNS = 60_000;

/** Lets everything else run until `done` holds. */
export async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  for (let turns = 0; !(await done()); turns += 1) {
    if (turns > BUSY_TURNS + PATIENT_TURNS) throw new Error(`this never came to be: ${done.toString()}`);
    await new Promise((resolve) => (turns < BUSY_TURNS ? setImmediate(resolve) : setTimeout(resolve, 1)));
  }
}

/** The same for what foreign software does, which takes real time. */
export async function eventually(done: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await done()); tries += 1) {
    if (tries > 10_000) throw new Error(`this never came to be: ${done.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
