/** The local API of tailscaled: HTTP over its unix socket. What it says is bounded in size and time. */
import { Agent, errors, request } from 'undici';
import * as v from 'valibot';
import type { Clock } from '../../../base/clock.ts';
import { explain, systemCode } from '../../../base/errors.ts';
import type { Abortable } from '../../../store/store.ts';
import { ownProblem, RenewalError } from '../../issuer.ts';

/** A key, a chain, or a status without peers. */
const LARGEST_ANSWER = 256 * 1024;
/** ms for one answer: the daemon may be ordering the certificate meanwhile, by a DNS challenge. */
const TIMEOUT = 5 * 60_000;

const GRANT =
  'let the user that the server runs as have certificates: TS_PERMIT_CERT_UID=USER in /etc/default/tailscaled, then restart tailscaled';

const statusDocument = v.object({
  CertDomains: v.nullish(v.array(v.string())),
  Self: v.nullish(v.object({ DNSName: v.nullish(v.string()) })),
});

export class LocalApi implements AsyncDisposable {
  readonly #socket: string;
  readonly #clock: Clock;
  readonly #agent: Agent;

  /** @param authority `file://localhost/PATH` of the socket, as MDCertificateAuthority has it */
  constructor(authority: string, clock: Clock) {
    this.#socket = decodeURIComponent(new URL(authority).pathname);
    this.#clock = clock;
    // Time is bounded for the whole of a request, below.
    const bounds = { maxResponseSize: LARGEST_ANSWER, headersTimeout: 0, bodyTimeout: 0 };
    this.#agent = new Agent({ connect: { socketPath: this.#socket }, ...bounds });
  }

  /** Names it gets certificates for; undefined where it does not tell. @throws RenewalError */
  async names(options: Abortable): Promise<readonly string[] | undefined> {
    const { status, body } = await this.#get('status?peers=false', options);
    if (status !== 200) return undefined;
    const document = v.safeParse(v.pipe(v.string(), v.parseJson(), statusDocument), body);
    if (!document.success) throw failure('answers with something else than its status', 'is it tailscaled?');
    const { CertDomains, Self } = document.output;
    const own = Self?.DNSName?.replace(/\.$/, '');
    return [...new Set([...(CertDomains ?? []), ...(own ? [own] : [])])].map((name) => name.toLowerCase());
  }

  /**
   * PEM of a private key, then of its certificate with the chain.
   * @param validity ms that the certificate has to be good for yet; daemons before 1.60 don't mind it
   * @throws RenewalError
   */
  async pair(name: string, validity: number, options: Abortable): Promise<string> {
    const wanted = validity > 0 ? `&min_validity=${Math.ceil(validity / 1000)}s` : '';
    const { status, body } = await this.#get(`cert/${encodeURIComponent(name)}?type=pair${wanted}`, options);
    if (status === 200) return body;
    const said = `answers ${status}: ${body.trim().slice(0, 500) || 'nothing more'}`;
    if (status === 403) throw failure(said, GRANT);
    throw failure(said, 'its log (journalctl -u tailscaled) says more');
  }

  async #get(path: string, { signal: stop }: Abortable): Promise<{ status: number; body: string }> {
    const late = new AbortController();
    const done = new AbortController();
    const signal = AbortSignal.any([late.signal, ...(stop ? [stop] : [])]);
    signal.throwIfAborted();
    const expire = () =>
      late.abort(failure(`did not answer within ${TIMEOUT / 1000} seconds`, 'is it well?'));
    this.#clock.sleep(TIMEOUT, { signal: done.signal }).then(expire, () => {});
    try {
      // The name that the daemon expects of whoever comes by its socket.
      const url = `http://local-tailscaled.sock/localapi/v0/${path}`;
      const { statusCode, body } = await request(url, { dispatcher: this.#agent, signal });
      return { status: statusCode, body: await body.text() };
    } catch (error) {
      signal.throwIfAborted();
      throw this.#fault(error);
    } finally {
      done.abort();
    }
  }

  #fault(error: unknown): RenewalError {
    const code = systemCode(error) ?? 'unknown';
    switch (code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        return failure(
          `is not at ${this.#socket} (${code})`,
          'start it (systemctl start tailscaled), or name its socket in MDCertificateAuthority',
        );
      case 'EACCES':
      case 'EPERM':
        return failure(`may not be talked to at ${this.#socket} (${code})`, GRANT);
      case 'UND_ERR_RES_EXCEEDED_MAX_SIZE':
      case 'UND_ERR_HEADERS_OVERFLOW':
        return failure('answers with more than is read', 'is it tailscaled?');
      default:
        if (error instanceof errors.HTTPParserError)
          return failure('does not speak HTTP', 'is it tailscaled?');
        return failure(
          `closes the connection (${explain(error)})`,
          'its log (journalctl -u tailscaled) says more',
        );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }
}

function failure(what: string, remedy: string): RenewalError {
  return new RenewalError({ ...ownProblem('tailscale', `tailscaled ${what}`), remedy: `${remedy}.` });
}
