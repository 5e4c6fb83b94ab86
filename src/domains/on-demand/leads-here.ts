/** Whether a name leads to this server, before any CA is asked about it: every address of it has to. */
import { BlockList, isIP } from 'node:net';
import { normalizeAddress } from '../../base/addresses.ts';
import type { Abortable, Store } from '../../store/store.ts';
import type { Dns } from '../preflight/dns.ts';
import { isOwnAddress, probeHttp } from '../preflight/reach.ts';
import { offerToken } from '../preflight/token.ts';

export interface Surroundings {
  readonly dns: Dns;
  /** The port that the CA asks by http-01; undefined where nobody listens there. */
  readonly httpPort: number | undefined;
  readonly store: Store;
  /** The CA looks from this machine. */
  readonly local: boolean;
}

/** Why it doesn't, with the remedy; undefined where it does. Rejects when aborted, and as the store does. */
export async function strayingOf(
  name: string,
  addresses: readonly string[],
  { dns, httpPort, store, local, signal }: Surroundings & Abortable,
): Promise<string | undefined> {
  const answers = await Promise.all(
    ([4, 6] as const).map((family) => dns.addresses(name, family, { signal })),
  );
  const found = answers.flatMap((answer) => ('records' in answer ? answer.records : []));
  if (found.length === 0) {
    const failed = answers.find((answer) => 'failure' in answer);
    return failed && 'failure' in failed
      ? `looking up its address fails (${failed.failure})`
      : 'it has no address in DNS';
  }
  const listed = new Set(addresses.map(normalizeAddress));
  const foreign = found.filter((address) => !listed.has(normalizeAddress(address)) && !isOurs(address));
  if (foreign.length === 0) return undefined;
  const ownOnly = foreign.find(isNear);
  if (ownOnly !== undefined && !local) return stray(ownOnly);
  // Behind a router or a load balancer addresses say nothing; who answers there does.
  const port = httpPort;
  if (port === undefined) return stray(foreign[0] ?? '');
  await using offer = await offerToken(store);
  const reached = await Promise.all(
    foreign.map((address) => probeHttp({ name, address, port, signal }, offer.token)),
  );
  const other = reached.findIndex(({ kind }) => kind !== 'ours');
  return other < 0 ? undefined : stray(foreign[other] ?? '');
}

/** They mean another machine to everybody who looks them up: anybody can have a name lead to our very own. */
const near = new BlockList();
for (const [net, prefix] of [
  ['127.0.0.0', 8],
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
] as const) {
  near.addSubnet(net, prefix);
}
near.addSubnet('::', 127, 'ipv6');
near.addSubnet('fe80::', 10, 'ipv6');

function isNear(address: string): boolean {
  const plain = normalizeAddress(address);
  return near.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}

function isOurs(address: string): boolean {
  return !isNear(address) && isOwnAddress(address);
}

function stray(address: string): string {
  return `it leads to ${address}, which is not this server (if it is: MDOnDemandAddress ${address})`;
}
