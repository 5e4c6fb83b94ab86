/**
 * Preflight: looks at a managed domain as its CA is going to. Advisory: it finds what a CA would stumble over, and
 * what it does not find proves nothing.
 */
import PQueue from 'p-queue';
import type { Abortable, Store } from '../../store/store.ts';
import { challengeChoices } from '../issuers/challenges.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { caaFindings, type CaaSubject } from './caa.ts';
import { type Dns, isInDns } from './dns.ts';
import type { Finding } from './finding.ts';
import { isOwnAddress, probeHttp, probePort, type Reached, type Target } from './reach.ts';
import { offerToken } from './token.ts';

export interface PreflightOptions extends Abortable {
  readonly dns: Dns;
  /** Where workers find what they answer with; without it, nobody is asked over the network. */
  readonly store?: Store | undefined;
  /** The ports that the CA uses; default 80 and 443. */
  readonly ports?: { readonly http: number; readonly https: number } | undefined;
  /** `meta.caaIdentities` of the CA; without, CAA is not looked at. */
  readonly caaIdentities?: readonly string[] | undefined;
  /** URL of the account in use. */
  readonly account?: string | undefined;
}

/** Names looked at at once. */
const PARALLEL = 4;
/** ms for a domain as a whole. */
const TIME = 60_000;

/** What a CA would stumble over, name by name; empty if nothing was found. Rejects when aborted, and as the store does. */
export async function preflight(
  domain: ManagedDomainSettings,
  options: PreflightOptions,
): Promise<readonly Finding[]> {
  const { types } = challengeChoices(domain);
  const signal = AbortSignal.any([AbortSignal.timeout(TIME), ...(options.signal ? [options.signal] : [])]);
  const subject: CaaSubject | undefined = options.caaIdentities && {
    identities: options.caaIdentities,
    account: options.account,
    challenges: types,
  };
  const byHttp = types.includes('http-01');
  // By DNS, it does not matter where a name leads to.
  const reaches = byHttp || types.includes('tls-alpn-01');
  const queue = new PQueue({ concurrency: PARALLEL });
  const look = async (name: string) => [
    ...(reaches && !name.startsWith('*.') ? await reachFindings(name, byHttp, { ...options, signal }) : []),
    ...(subject && isInDns(name) ? await caaFindings(options.dns, name, subject, { signal }) : []),
  ];
  const tasks = domain.domains.map((name) => () => look(name).catch((error) => late(name, error, options)));
  return (await queue.addAll(tasks)).flat();
}

/** What has not been seen within the time is told; an abort from outside is one. */
function late(name: string, error: unknown, { signal }: Abortable): Finding[] {
  signal?.throwIfAborted();
  if (!(error instanceof DOMException) || error.name !== 'TimeoutError') throw error;
  const detail = `there was no time to look at ${name}: others took ${TIME / 1000} s`;
  return [{ severity: 'hint', kind: 'reach', name, detail, remedy: 'see to the others first' }];
}

async function reachFindings(
  name: string,
  byHttp: boolean,
  { dns, store, ports = { http: 80, https: 443 }, signal }: PreflightOptions,
): Promise<Finding[]> {
  const addresses = isInDns(name) ? await resolve(dns, name, { signal }) : [name];
  if ('severity' in addresses) return [addresses];
  // Without a running server there is nobody to be reached.
  if (!store) return [];
  // No longer than it is needed: it lies where challenges do.
  await using offer = byHttp ? await offerToken(store) : undefined;
  const findings = addresses.map(async (address): Promise<Finding | undefined> => {
    const target: Target = { name, address, port: offer ? ports.http : ports.https, signal };
    const reached = await (offer ? probeHttp(target, offer.token) : probePort(target));
    return judge(target, reached);
  });
  return (await Promise.all(findings)).filter((finding) => finding !== undefined);
}

async function resolve(dns: Dns, name: string, options: Abortable): Promise<readonly string[] | Finding> {
  const answers = await Promise.all(([4, 6] as const).map((family) => dns.addresses(name, family, options)));
  const addresses = answers.flatMap((answer) => ('records' in answer ? answer.records : []));
  if (addresses.length > 0) return addresses;
  const failure = answers
    .map((answer) => ('failure' in answer ? answer.failure : ''))
    .find((text) => text !== '');
  if (failure !== undefined) {
    return {
      severity: 'problem',
      kind: 'dns',
      name,
      detail: `looking up ${name} fails (${failure})`,
      remedy:
        'see whether the DNS servers of the domain answer, and whether its delegation and DNSSEC are in order',
    };
  }
  return {
    severity: 'problem',
    kind: 'dns',
    name,
    detail: `${name} has no address in DNS`,
    remedy: `add an A or AAAA record for ${name} that leads to this server`,
  };
}

function judge({ name, address, port }: Target, reached: Reached): Finding | undefined {
  if (reached.kind === 'ours') return undefined;
  const record = address.includes(':') ? 'AAAA' : 'A';
  const about = { kind: 'reach', name } as const;
  if (reached.kind === 'other') {
    return {
      ...about,
      severity: 'problem',
      detail: `${record} ${address} port ${port} ${reached.detail}`,
      remedy: `correct or remove the ${record} record of ${name}, or have what is at ${address} pass on /.well-known/acme-challenge/`,
    };
  }
  const detail = `${record} ${address} port ${port} can't be reached: ${reached.detail}`;
  if (isOwnAddress(address)) {
    return {
      ...about,
      severity: 'problem',
      detail,
      remedy: `the address is this machine's: see Listen, whether a firewall lets port ${port} in, and with MDPortMap whether it is led on`,
    };
  }
  return {
    ...about,
    severity: 'hint',
    detail,
    remedy: `if a router in between does not lead its own public address back inside (NAT without hairpin), that is in order: try from elsewhere; else correct the ${record} record, or open the port`,
  };
}
