/**
 * How-tos as scenarios: the configuration that a how-to gives, on a server of its own at a loopback address of its
 * own, with one Pebble for all of them. What the how-to promises is looked at with curl and openssl.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { request } from 'undici';
import {
  type ChallengeDns,
  type Pebble,
  type PebbleOptions,
  startChallengeDns,
  startPebble,
} from '../../src/acme/pebble.testing.ts';
import { eventually, freePorts, missing, run, type Outcome, TestServer } from '../latchkey.testing.ts';
import { withoutAuthority } from '../interop/authority.testing.ts';

/** Why no scenario can be played, or false. */
export const skip = withoutAuthority || missing('curl', 'openssl') || false;

/** Of node:test: as many at a time as two processors take. */
export const together = { concurrency: 3, skip } as const;

/** Pebble and its DNS, and the ports that it looks for challenges at: the same of all addresses. */
export class Authority implements AsyncDisposable {
  readonly dns: ChallengeDns;
  readonly pebble: Pebble;
  readonly ports: { readonly http: number; readonly https: number };
  readonly root: string;
  #sites = 0;

  static async start(options: Pick<PebbleOptions, 'externalAccounts'> = {}): Promise<Authority> {
    const [http = 0, https = 0] = await freePorts(2);
    const dns = await startChallengeDns();
    const pebble = await startPebble({ ...options, httpPort: http, tlsPort: https, resolver: dns.resolver });
    return new Authority(dns, pebble, { http, https }, await pebble.root());
  }

  private constructor(dns: ChallengeDns, pebble: Pebble, ports: Authority['ports'], root: string) {
    this.dns = dns;
    this.pebble = pebble;
    this.ports = ports;
    this.root = root;
  }

  site(): Site {
    this.#sites += 1;
    return new Site(this, this.#sites);
  }

  /** The only address of a name from now on. */
  async pointTo(name: string, address: string): Promise<void> {
    for (const command of ['clear-a', 'add-a']) {
      const body = JSON.stringify({ host: `${name}.`, addresses: [address] });
      const answer = await request(`${this.dns.managementUrl}/${command}`, { method: 'POST', body });
      await answer.body.dump();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pebble[Symbol.asyncDispose]();
    await this.dns[Symbol.asyncDispose]();
  }
}

/** The text of NAME.conf. */
export function howto(name: string): string {
  return readFileSync(new URL(`${name}.conf`, import.meta.url), 'utf8');
}

export interface Page {
  readonly status: number;
  readonly body: string;
  /** Status line and fields, as curl prints them. */
  readonly head: string;
  /** curl's: 60 is a certificate that is not trusted. */
  readonly code: number;
}

/** One server. `example.org` and `example.net` of its configurations are domains of its own. */
export class Site implements AsyncDisposable {
  readonly server = new TestServer();
  readonly address: string;
  readonly org: string;
  readonly net: string;
  readonly #authority: Authority;

  constructor(authority: Authority, number: number) {
    this.#authority = authority;
    this.address = `127.0.1.${number}`;
    this.org = `site${number}.example`;
    this.net = `net${number}.example`;
    this.server.write('root.pem', authority.root);
    this.server.write('pebble.pem', authority.pebble.ca);
    this.server.write('htdocs/index.html', 'hello\n');
    this.server.write(
      'included/global.conf',
      'MDContactEmail admin@example.org\nMDCertificateAgreement accepted\n',
    );
  }

  /** Names, addresses and ports of a how-to as they are here; the CA is Pebble unless the how-to names one. */
  async configure(text: string, ...more: readonly string[]): Promise<void> {
    const { ports, pebble } = this.#authority;
    const adapted = this.#adapt([text, ...more].join('\n'));
    const names = new Set(adapted.match(/(?<![\w*@.-])[\w.-]*(?:site|net)\d+\.example\b/g));
    await Promise.all([...names].map((name) => this.#authority.pointTo(name, this.address)));
    this.server.configure(`Workers 1
LogLevel info md:debug
MDCertificateAuthority ${pebble.directoryUrl}
MDCACertificateFile pebble.pem
MDPortMap http:${ports.http} https:${ports.https}
MDPrivateKeys secp256r1
MDRetryDelay 1s
${adapted}
`);
  }

  #adapt(text: string): string {
    const { http, https } = this.#authority.ports;
    return text
      .replaceAll(/\bexample2?\.org\b/g, (name) => (name.includes('2') ? `second.${this.net}` : this.org))
      .replaceAll('example.net', this.net)
      .replaceAll(/^Listen (?:80|8888)$/gm, `Listen ${this.address}:${http}`)
      .replaceAll(/^Listen (?:443|8443)(?: https)?$/gm, `Listen ${this.address}:${https} https`)
      .replaceAll(/^TLSEngine (?:443|8443)$/gm, `TLSEngine ${this.address}:${https}`)
      .replaceAll(/\*:(?:80|8888)\b/g, `*:${http}`)
      .replaceAll(/\*:(?:443|8443)\b/g, `*:${https}`)
      .replaceAll('http:8888', `http:${http}`)
      .replaceAll('https:8443', `https:${https}`);
  }

  start(): Promise<void> {
    return this.server.start();
  }

  /** `-k graceful`. */
  async reload(): Promise<void> {
    const { code, stderr } = await this.server.run('-k', 'graceful');
    if (code !== 0) throw new Error(`no reload: ${stderr}`);
  }

  /** `latchkey renew`, which has to succeed. */
  async renew(name: string): Promise<void> {
    const { code, stderr } = await this.server.run('renew', name);
    if (code !== 0) throw new Error(`not renewed: ${stderr}\n${this.server.log()}`);
  }

  /** Asks for a URL without port, by curl, which trusts Pebble's root only; `more` are options of curl. */
  async get(url: string, ...more: readonly string[]): Promise<Page> {
    const { http, https } = this.#authority.ports;
    const to = [`:80:${this.address}:${http}`, `:443:${this.address}:${https}`];
    const args = [
      '-sS',
      '-i',
      '--http1.1',
      '--max-time',
      '20',
      '--cacert',
      join(this.server.dir, 'root.pem'),
    ];
    const { code, stdout } = await run('curl', [
      ...args,
      ...to.flatMap((one) => ['--connect-to', one]),
      ...more,
      url,
    ]);
    const [head = '', ...body] = stdout.replaceAll('\r', '').split('\n\n');
    return { status: Number(head.split(' ')[1] ?? 0), head, body: body.join('\n\n'), code };
  }

  /** Waits until a host shows a certificate that curl trusts. */
  async green(name: string): Promise<Page> {
    return eventually(`https://${name} to be trusted`, async () => {
      const page = await this.get(`https://${name}/`);
      return page.code === 0 && page.status !== 503 && page;
    }).catch((cause: unknown) => {
      throw new Error(this.server.log(), { cause });
    });
  }

  /** What `openssl s_client` says to a handshake under `name`. */
  async handshake(name: string, ...more: readonly string[]): Promise<Outcome> {
    const to = ['-connect', `${this.address}:${this.#authority.ports.https}`, '-servername', name];
    return run('openssl', ['s_client', ...to, ...more], { input: '' });
  }

  /** The certificate of a host, as `openssl x509 -noout …` has it: `-serial`, `-ext subjectAltName`, … */
  async certificate(name: string, ...what: readonly string[]): Promise<string> {
    const { stdout } = await this.handshake(name);
    return (await run('openssl', ['x509', '-noout', ...what], { input: stdout })).stdout.trim();
  }

  /** The DNS names in the certificate of a host, sorted. */
  async names(name: string): Promise<string[]> {
    const text = await this.certificate(name, '-ext', 'subjectAltName');
    return [...text.matchAll(/DNS:([^,\s]+)/g)].map(([, dns = '']) => dns).sort();
  }

  serial(name: string): Promise<string> {
    return this.certificate(name, '-serial');
  }

  /** Waits for a line of the error log. */
  logged(what: string | RegExp): Promise<string> {
    return eventually(`${what} in the log`, () => {
      const log = this.server.log();
      return (typeof what === 'string' ? log.includes(what) : what.test(log)) && log;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}

/** Answers at a unix socket like tailscaled. */
export async function fakeTailscaled(
  socket: string,
  names: readonly string[],
  pair: () => string,
): Promise<AsyncDisposable> {
  const server = createServer((request, response) => {
    response.end(request.url?.includes('/cert/') ? pair() : JSON.stringify({ CertDomains: names }));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return { [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())) };
}
