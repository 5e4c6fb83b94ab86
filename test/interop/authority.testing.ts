/** Pebble as the authority of a server under test, with a DNS in which every name is 127.0.0.1. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, type TestServer } from '../latchkey.testing.ts';
import {
  startChallengeDns,
  startPebble,
  withoutChallengeDns,
  withoutPebble,
  type Pebble,
} from '../../src/acme/pebble.testing.ts';

/** Why there can be none, or false. */
export const withoutAuthority = withoutPebble || withoutChallengeDns;

export interface Ports {
  readonly http: number;
  readonly https: number;
}

export interface Authority extends Pebble {
  /** PEM file: trusts Pebble's own https. */
  readonly caFile: string;
  /** PEM file: trusts what it issues. */
  readonly rootFile: string;
  /** How many orders it got by now. */
  orders(): number;
}

export interface AuthorityOptions {
  readonly dir: string;
  readonly ports: Ports;
  /** See PebbleOptions. */
  readonly ocspResponder?: string;
}

/** Validates at `ports` of 127.0.0.1; its files are in `dir`. */
export async function startAuthority({ dir, ports, ...more }: AuthorityOptions): Promise<Authority> {
  const dns = await startChallengeDns();
  const { resolver } = dns;
  const pebble = await startPebble({ httpPort: ports.http, tlsPort: ports.https, resolver, ...more });
  const caFile = join(dir, 'pebble-ca.pem');
  const rootFile = join(dir, 'pebble-root.pem');
  writeFileSync(caFile, pebble.ca);
  writeFileSync(rootFile, await pebble.root());
  return {
    ...pebble,
    caFile,
    rootFile,
    orders: () => pebble.log().match(/Added order/g)?.length ?? 0,
    [Symbol.asyncDispose]: async () => {
      await pebble[Symbol.asyncDispose]();
      await dns[Symbol.asyncDispose]();
    },
  };
}

/**
 * Waits for the first certificates of managed domains. Asks the log, since the command line costs more; the status has
 * them a moment later, when the engine has looked at the store.
 */
export async function installed(server: TestServer, ...domains: readonly string[]): Promise<void> {
  for (const domain of domains) {
    const line = `AH10059: The Managed Domain ${domain} has been setup`;
    await eventually(`a certificate for ${domain}`, () => server.log().includes(line));
  }
  await eventually('them in the status', async () => {
    const complete = (await server.status()).domains.filter(({ state }) => state === 'complete');
    return domains.every((domain) => complete.some(({ name }) => name === domain));
  });
}

/** The directives that make it the authority of Latchkey and Apache alike. */
export function directives({ directoryUrl, caFile }: Authority, ports: Ports): string {
  return `MDCertificateAuthority ${directoryUrl}
MDCACertificateFile ${caFile}
MDCertificateAgreement accepted
MDContactEmail admin@latchkey.test
MDPrivateKeys secp256r1
MDPortMap http:${ports.http} https:${ports.https}
`;
}
