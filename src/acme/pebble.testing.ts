/**
 * Let's Encrypt's Pebble, an ACME server that is not ours, on free ports and out of a temporary
 * folder. Works with Debian's 2.4 as with newer ones.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import { freePorts } from '../base/ports.testing.ts';

/** Why tests with Pebble must be skipped, or false. */
export const withoutPebble = usage('pebble') !== undefined ? false : 'pebble is not installed';
/** The same for its DNS server. */
export const withoutChallengeDns =
  usage('pebble-challtestsrv') !== undefined ? false : 'pebble-challtestsrv is not installed';

export interface PebbleOptions {
  /** Added to PEBBLE_VA_NOSLEEP=1: `PEBBLE_VA_ALWAYS_VALID`, `PEBBLE_WFE_NONCEREJECT`, … */
  readonly env?: Readonly<Record<string, string>>;
  /** Where it looks for http-01; default 80. */
  readonly httpPort?: number;
  /** Where it looks for tls-alpn-01; default 443. */
  readonly tlsPort?: number;
  /** External accounts, kid to HMAC key (base64url); given, they are required. */
  readonly externalAccounts?: Readonly<Record<string, string>>;
  /** URL of the OCSP responder that its certificates name; default none. */
  readonly ocspResponder?: string;
  /** `ADDRESS:PORT` of a DNS server instead of the system's, as startChallengeDns() gives. */
  readonly resolver?: string;
  /** Profiles beside `default`, name to description and validity in seconds. Pebble 2.4 has none. */
  readonly profiles?: Readonly<Record<string, { description: string; validityPeriod: number }>>;
}

export interface Pebble extends AsyncDisposable {
  readonly directoryUrl: string;
  readonly managementUrl: string;
  /** PEM: trust this for Pebble's own https. */
  readonly ca: string;
  /** PEM of the root that its certificates lead to. */
  readonly root: () => Promise<string>;
  /** Certificate and key, PEM, of what signs its certificates. */
  readonly issuer: () => Promise<{ certificate: string; key: string }>;
  /** What it answers from now on when asked about a certificate (PEM) by ARI. Pebble 2.8 and newer. */
  readonly setRenewalInfo: (pem: string, answer: unknown) => Promise<void>;
  /** All that it has printed. */
  log(): string;
}

/** @throws when it is not installed (check withoutPebble first) or ends before it serves. */
export async function startPebble(options: PebbleOptions = {}): Promise<Pebble> {
  const { env, httpPort = 80, tlsPort = 443, externalAccounts, resolver, profiles } = options;
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-pebble-'));
  const names = ['localhost', '127.0.0.1', '::1'];
  const { certPem, keyPem } = await createFallbackCertificate({ names, now: Date.now() });
  const [port, managementPort] = await freePorts(2);
  const pebble = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${managementPort}`,
    certificate: join(folder, 'cert.pem'),
    privateKey: join(folder, 'key.pem'),
    httpPort,
    tlsPort,
    ocspResponderURL: options.ocspResponder ?? '',
    externalAccountBindingRequired: externalAccounts !== undefined,
    externalAccountMACKeys: externalAccounts ?? {},
    ...(profiles && {
      profiles: { default: { description: 'the default', validityPeriod: 7_776_000 }, ...profiles },
    }),
  };
  await writeFile(pebble.certificate, certPem);
  await writeFile(pebble.privateKey, keyPem, { mode: 0o600 });
  const config = join(folder, 'pebble.json');
  await writeFile(config, JSON.stringify({ pebble }));
  const args = ['-config', config, '-strict=false', ...(resolver ? ['-dnsserver', resolver] : [])];
  const child = launch('pebble', args, { PEBBLE_VA_NOSLEEP: '1', ...env });
  const agent = new Agent({ connect: { ca: certPem } });
  const get = async (url: string) => (await request(url, { dispatcher: agent })).body.text();
  const dispose = async () => {
    await agent.close();
    await child.end();
    await rm(folder, { recursive: true, force: true });
  };
  const directoryUrl = `https://localhost:${port}/dir`;
  const managementUrl = `https://localhost:${managementPort}`;
  try {
    await child.until(() => get(directoryUrl));
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    directoryUrl,
    managementUrl,
    ca: certPem,
    setRenewalInfo: async (pem, answer) => {
      const body = JSON.stringify({ Certificate: pem, ARIResponse: JSON.stringify(answer) });
      const url = `${managementUrl}/set-renewal-info/`;
      const headers = { 'user-agent': 'latchkey-tests' };
      const options = { dispatcher: agent, method: 'POST', body, headers } as const;
      const { statusCode, body: said } = await request(url, options);
      if (statusCode !== 200) throw new Error(`Pebble does not take this: ${await said.text()}`);
      await said.dump();
    },
    root: () => get(`${managementUrl}/roots/0`),
    issuer: async () => ({
      certificate: await get(`${managementUrl}/intermediates/0`),
      key: await get(`${managementUrl}/intermediate-keys/0`),
    }),
    log: () => child.log(),
    [Symbol.asyncDispose]: dispose,
  };
}

export interface ChallengeDns extends AsyncDisposable {
  /** `ADDRESS:PORT`, for startPebble()'s resolver. */
  readonly resolver: string;
  readonly managementUrl: string;
}

/** Pebble's DNS server: every name is 127.0.0.1; more by its management interface (`/add-a`, `/set-txt`, …). */
export async function startChallengeDns(): Promise<ChallengeDns> {
  const [port, managementPort] = await freePorts(2);
  const off = ['-http01', '', '-https01', '', '-tlsalpn01', ''];
  const help = usage('pebble-challtestsrv') ?? '';
  // Newer ones also serve DNS over https, at a fixed port unless told not to.
  if (help.includes('-doh ')) off.push('-doh', '');
  const at = [
    help.includes('-dnsserver ') ? '-dnsserver' : '-dns01',
    `127.0.0.1:${port}`,
    '-management',
    `127.0.0.1:${managementPort}`,
  ];
  const addresses = ['-defaultIPv4', '127.0.0.1', '-defaultIPv6', ''];
  const child = launch('pebble-challtestsrv', [...addresses, ...at, ...off]);
  const managementUrl = `http://127.0.0.1:${managementPort}`;
  try {
    await child.until(() => request(managementUrl).then(({ body }) => body.dump()));
  } catch (error) {
    await child.end();
    throw error;
  }
  return { resolver: `127.0.0.1:${port}`, managementUrl, [Symbol.asyncDispose]: () => child.end() };
}

interface Child {
  /** Tries until it works; rejects when the process has ended. */
  until(attempt: () => Promise<unknown>): Promise<void>;
  end(): Promise<void>;
  log(): string;
}

function launch(command: string, args: string[], env: Record<string, string> = {}): Child {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  const keep = (chunk: Buffer) => (log += chunk.toString());
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve()).once('close', () => resolve());
  });
  // A test that crashes leaves nothing behind.
  const orphan = () => child.kill('SIGKILL');
  process.once('exit', orphan);
  return {
    log: () => log,
    until: (attempt) => untilServing(child, attempt, () => log),
    end: async () => {
      process.off('exit', orphan);
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function untilServing(
  child: ChildProcess,
  attempt: () => Promise<unknown>,
  log: () => string,
): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await attempt();
      return;
    } catch (cause) {
      const gone = child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
      if (gone || tries > 1200) throw new Error(`${child.spawnfile} does not serve: ${log()}`, { cause });
    }
    await delay(25);
  }
}

/** What `COMMAND -help` prints; undefined where there is no such command. */
function usage(command: string): string | undefined {
  const { error, stderr } = spawnSync(command, ['-help'], { encoding: 'utf8' });
  return error ? undefined : stderr;
}
