/**
 * A worker: listeners, handshakes, HTTP. It reads the certificate table and the challenges, and writes nothing
 * but log lines.
 */
import type { TLSSocket } from 'node:tls';
import { normalizeAddress } from '../../base/addresses.ts';
import { systemClock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import { createLoggers, type Logger, type Loggers } from '../../base/log.ts';
import { openTableForReading, type LmdbTableReader } from '../../certificates/lmdb-table.ts';
import { Names } from '../../certificates/sources/names.ts';
import type { HostSettings, Listen, Section, Settings } from '../../config/settings.ts';
import { Challenges } from '../../domains/challenge-answers.ts';
import { Scripts } from '../../http/cgi/scripts.ts';
import { Frontend } from '../../http/frontend.ts';
import type { ProxyHandler } from '../../http/exchange.ts';
import { FsStore } from '../../store/fs/fs-store.ts';
import { Acceptor, checkPrivateSurface, type Secured } from '../../tls/accept.ts';
import type { Incoming } from '../../tls/incoming.ts';
import { factsOf } from '../../tls/facts.ts';
import type { WorkerLoad } from '../../status/document.ts';
import { SecureContexts } from '../../tls/contexts.ts';
import { HandshakeQueue } from '../../tls/handshake-queue.ts';
import type { Birth, Plan, RelayCalls, VerifyRequest } from '../calls.ts';
import { LogSender } from '../logpipe.ts';
import type { Peer } from '../peer.ts';
import { dropPrivileges } from '../privileges.ts';
import { tableDir } from '../runtime-dir.ts';
import { ClientLimits } from './client-limits.ts';
import { watchDescriptors } from './descriptors.ts';
import { HandshakePlan, Handshakes, type HandshakeTag } from './handshake.ts';
import { Listeners } from './listeners.ts';
import { closeUnboundHandles } from './shared-handles.ts';
import { dynsslHandlers } from './dynssl-handlers.ts';
import { storeHandlers } from './store-handler.ts';
import { StatusHandlers } from './status-handlers.ts';
import { TurnedAway } from './turned-away.ts';
import { showCertificates } from './verify.ts';

/** An engine that is restarted has the table closed for an instant: tries, and the pause between them (ms). */
const TABLE_TRIES = 50;
const TABLE_PAUSE = 100;

export class Worker {
  readonly #birth: Birth;
  readonly #contexts: SecureContexts;
  readonly #handshakes: Handshakes;
  readonly #frontend: Frontend;
  readonly #acceptor: Acceptor<HandshakeTag>;
  readonly #listeners: Listeners;
  readonly #clientLimits: ClientLimits;
  readonly #turnedAway: TurnedAway;
  readonly #names: Names;
  readonly #end = new AbortController();
  /** By host; those of a configuration that is gone go with it. */
  readonly #hostLoggers = new WeakMap<HostSettings, Loggers>();
  /** By configuration: a request ends with the one that it began with. */
  readonly #backendPems = new WeakMap<Settings, Plan['backendPems']>();
  readonly #proxyLog: (host: HostSettings) => Logger;
  readonly #status: StatusHandlers;
  #proxy: ProxyHandler | undefined;
  #table: LmdbTableReader;
  #prepared: { readonly generation: number; readonly plan: HandshakePlan } | undefined;

  /** Drops its rights, opens what it needs, listens. Rejects with what keeps it from that. */
  static async begin(birth: Birth, supervisor: Peer<RelayCalls>): Promise<Worker> {
    // While its files can certainly be read.
    if (hasProxies(birth.plan.settings)) await import('../../http/proxy/proxy.ts');
    dropPrivileges(birth.identity);
    checkPrivateSurface();
    closeUnboundHandles();
    const table = await openTable(birth.runtimeDir);
    // Challenges are in the clear: a worker has no use for the store's key and is not given it.
    const store = await FsStore.attach({
      dir: birth.plan.settings.md.storeDir,
      key: new Uint8Array(48),
      readOnly: true,
    });
    const worker = new Worker(birth, supervisor, table, new Challenges(store));
    await worker.#loadProxy(birth.plan.settings);
    await worker.#status.load(birth.plan.settings);
    await worker.#listeners.prepare(birth.plan.settings);
    worker.#listeners.commit();
    return worker;
  }

  private constructor(
    birth: Birth,
    supervisor: Peer<RelayCalls>,
    table: LmdbTableReader,
    challenges: Challenges,
  ) {
    this.#birth = birth;
    this.#backendPems.set(birth.plan.settings, birth.plan.backendPems);
    this.#table = table;
    const sender = new LogSender();
    const loggers = this.#makeLoggers(sender, () => this.#settings.base);
    const hostLoggers = (host: HostSettings) => this.#loggersOf(host, sender);
    this.#proxyLog = (host) => hostLoggers(host)('proxy');
    const scripts = new Scripts();
    process.once('SIGTERM', () => process.exit(0));
    process.on('exit', () => {
      scripts[Symbol.dispose]();
      sender.finish();
    });
    this.#contexts = new SecureContexts({ ticketKeys: birth.ticketKeys });
    this.#names = new Names({
      table: () => this.#table,
      seek: (wanted) => supervisor.call('seek', wanted),
      used: (ids) => supervisor.call('used', ids),
      clock: systemClock,
    });
    this.#handshakes = new Handshakes(
      {
        table: () => this.#table,
        contexts: this.#contexts,
        challenges,
        want: (setId) => supervisor.call('want', setId),
        names: this.#names,
        clock: systemClock,
        logger: loggers('ssl'),
      },
      new HandshakePlan(birth.plan),
    );
    this.#status = new StatusHandlers({ supervisor, clock: systemClock, logger: loggers('status') });
    this.#frontend = new Frontend(birth.plan.settings, {
      challenges,
      loggers,
      accessLog: (file, line) => sender.write(file, line),
      clock: systemClock,
      hostLoggers,
      proxy: {
        handle: (...request) => this.#loadedProxy().handle(...request),
        upgrade: (...request) => this.#loadedProxy().upgrade(...request),
        connect: (...request) => this.#loadedProxy().connect(...request),
      },
      handlers: {
        ...this.#status.byName,
        ...dynsslHandlers(supervisor, systemClock),
        ...storeHandlers(supervisor),
      },
      scripts,
      isFallback: (host) => this.#handshakes.isFallback(host),
    });
    this.#turnedAway = new TurnedAway(systemClock, loggers('core'));
    this.#clientLimits = new ClientLimits(birth.plan.settings.clientLimits, systemClock);
    this.#acceptor = new Acceptor({
      turns: new HandshakeQueue({ onRefused: () => this.#turnedAway.note('overload') }),
      select: (hello, endpoints) => this.#handshakes.select(hello, endpoints),
      onSecure: (socket, secured) => this.#secure(socket, secured),
      handshakeTimeout: ({ localAddress, localPort }) => this.#handshakes.timeout(localAddress, localPort),
      logger: loggers('ssl'),
    });
    void watchDescriptors({ clock: systemClock, logger: loggers('core'), signal: this.#end.signal });
    this.#listeners = new Listeners((connection, listen) => this.#connection(connection, listen));
  }

  async prepare(plan: Plan): Promise<void> {
    this.#backendPems.set(plan.settings, plan.backendPems);
    const prepared = { generation: plan.generation, plan: new HandshakePlan(plan) };
    await this.#loadProxy(plan.settings);
    await this.#status.load(plan.settings);
    await this.#listeners.prepare(plan.settings);
    this.#prepared = prepared;
  }

  commit(generation: number): void {
    if (this.#prepared?.generation !== generation)
      throw new Error(`generation ${generation} was not prepared`);
    this.#handshakes.plan = this.#prepared.plan;
    this.#frontend.reconfigure(this.#prepared.plan.settings);
    this.#clientLimits.reconfigure(this.#prepared.plan.settings.clientLimits);
    this.#listeners.commit();
    this.#prepared = undefined;
  }

  rollback(): void {
    this.#listeners.rollback();
    this.#prepared = undefined;
  }

  /** Serials of the certificates that a client gets here for a set, by a handshake through this very worker. */
  verify(request: VerifyRequest): Promise<readonly string[] | undefined> {
    this.#handshakes.forget(request.setId);
    return showCertificates(this.#handshakes, request);
  }

  get load(): WorkerLoad {
    const { pending: handshakes } = this.#acceptor;
    const connections = this.#frontend.connections + handshakes;
    const { counts: refused, last: lastRefused } = this.#turnedAway;
    return { connections, handshakes, refused, lastRefused };
  }

  /** Opens the table again: an engine had to make another. */
  async reopenTable(): Promise<void> {
    const before = this.#table;
    this.#table = await openTable(this.#birth.runtimeDir);
    before[Symbol.dispose]();
  }

  changeTicketKeys(keys: readonly Uint8Array[]): void {
    this.#contexts.changeTicketKeys(keys);
  }

  stopListening(): void {
    this.#listeners.close();
  }

  /** Fulfilled when the last connection has ended. */
  async drain(): Promise<void> {
    await this.#frontend.drain();
    this.#end.abort();
    this.#turnedAway[Symbol.dispose]();
    this.#names[Symbol.dispose]();
  }

  /** A third of a worker's program is the proxy's: only who configures backends waits for it. */
  async #loadProxy(settings: Settings): Promise<void> {
    if (this.#proxy || !hasProxies(settings)) return;
    const { createProxy } = await import('../../http/proxy/proxy.ts');
    this.#proxy = createProxy({
      log: this.#proxyLog,
      files: (of) => this.#backendPems.get(of) ?? {},
    });
  }

  #loadedProxy(): ProxyHandler {
    if (!this.#proxy) throw new Error('a request for a backend, and the configuration has none');
    return this.#proxy;
  }

  get #settings(): Settings {
    return this.#handshakes?.plan.settings ?? this.#birth.plan.settings;
  }

  /** A host without an ErrorLog of its own writes to the server's. */
  #makeLoggers(sender: LogSender, host: () => HostSettings): Loggers {
    return createLoggers(
      (line) => sender.write(host().errorLog ?? this.#settings.base.errorLog ?? '', line),
      () => host().logLevels,
    );
  }

  #loggersOf(host: HostSettings, sender: LogSender): Loggers {
    let loggers = this.#hostLoggers.get(host);
    if (!loggers) this.#hostLoggers.set(host, (loggers = this.#makeLoggers(sender, () => host)));
    return loggers;
  }

  #connection(connection: Incoming, listen: Listen): void {
    const limit = this.#clientLimits.exceeded(connection, listen.tls);
    if (limit) return this.#turnAway(connection, limit);
    if (listen.tls) {
      this.#acceptor.accept(connection);
      return;
    }
    const { endpoints } = connection;
    const { localAddress, localPort } = endpoints;
    const { host } = this.#handshakes.plan.hosts.forHandshake(localAddress, localPort, undefined);
    const info = { ...endpoints, host, secure: false, alpn: undefined, sni: undefined };
    this.#frontend.connection(connection.toSocket(), info);
  }

  /** By a reset: there is no answer that would cost less. */
  #turnAway(connection: Incoming, limit: 'connections' | 'handshakes'): void {
    this.#turnedAway.note(limit, normalizeAddress(connection.endpoints.remoteAddress));
    connection.reset();
  }

  #secure(socket: TLSSocket, { alpn, sni, hello, tag, endpoints }: Secured<HandshakeTag>): void {
    this.#frontend.connection(socket, {
      ...endpoints,
      secure: true,
      alpn,
      sni,
      host: tag.host,
      fallback: tag.fallback,
      tls: factsOf(socket, hello, tag.host.tls.family === 'tls' ? 'iana' : 'openssl', tag.policy),
    });
  }
}

function hasProxies({ base, hosts }: Settings): boolean {
  return [base, ...hosts].some(
    ({ forwardProxy, mappings, sections }) =>
      forwardProxy !== undefined || mappings.some(({ kind }) => kind === 'proxy') || sections.some(proxies),
  );
}

function proxies({ settings, sections }: Section): boolean {
  return settings.proxyPass !== undefined || sections.some(proxies);
}

async function openTable(runtimeDir: string): Promise<LmdbTableReader> {
  for (let tries = 1; ; tries++) {
    try {
      return openTableForReading({ dir: tableDir(runtimeDir) });
    } catch (error) {
      if (tries === TABLE_TRIES) throw new Error(`no certificate table: ${explain(error)}`, { cause: error });
    }
    await systemClock.sleep(TABLE_PAUSE);
  }
}
