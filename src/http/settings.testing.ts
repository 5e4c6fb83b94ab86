/** Settings for tests of this room: everything at httpd's defaults, changed where a test says so. */
import type {
  ConnectionLimits,
  HostSettings,
  ProxySettings,
  Section,
  Settings,
  VirtualHostSettings,
} from '../config/settings.ts';
import { settings as domainSettings } from '../domains/domains.testing.ts';

export const at = { file: 'test.conf', line: 1 };

export const defaultLimits: ConnectionLimits = {
  timeout: 60_000,
  keepAlive: true,
  keepAliveTimeout: 5000,
  maxKeepAliveRequests: 100,
  handshakeTimeout: { initial: 0, max: 0, minRate: 0 },
  headerTimeout: { initial: 20_000, max: 40_000, minRate: 500 },
  bodyTimeout: { initial: 20_000, max: 0, minRate: 500 },
  requestBody: 1024 ** 3,
  requestFields: 100,
  requestFieldSize: 8190,
  requestLine: 8190,
};

export const defaultProxy: ProxySettings = {
  timeout: undefined,
  reverse: [],
  sourceAddress: undefined,
  maxForwards: undefined,
  workers: [],
  balancers: [],
};

export function hostSettings(changes: Partial<HostSettings> = {}): HostSettings {
  return {
    serverName: undefined,
    aliases: [],
    serverAdmin: undefined,
    documentRoot: undefined,
    protocols: ['h2', 'http/1.1'],
    limits: defaultLimits,
    logLevels: { all: 'warn', modules: {} },
    errorLog: undefined,
    customLogs: [],
    tls: {
      engine: false,
      family: 'ssl',
      certificates: [],
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      ciphers: undefined,
      ciphersuites: undefined,
      cipherOrder: 'modern',
      strictSni: false,
      sessions: { tickets: true, timeout: 300, ticketKeyFile: undefined },
      clientAuth: 'none',
      clientCa: undefined,
      clientCaPath: undefined,
      clientDepth: 1,
      clientRevocation: undefined,
      groups: undefined,
      signatureAlgorithms: undefined,
    },
    mappings: [],
    directory: {},
    sections: [],
    proxy: defaultProxy,
    forwardProxy: undefined,
    requireHttps: 'off',
    stapling: undefined,
    managedDomain: undefined,
    dynamicStore: undefined,
    ...changes,
  };
}

/** A virtual host on `*:*` unless `changes` says otherwise. */
export function virtualHost(
  serverName: string | undefined,
  changes: Partial<VirtualHostSettings> = {},
): VirtualHostSettings {
  return { ...hostSettings({ serverName }), addresses: [{ address: '*', port: '*' }], at, ...changes };
}

export function settingsOf(changes: Partial<Settings> = {}): Settings {
  return {
    serverRoot: '/srv',
    configFile: '/srv/httpd.conf',
    workers: 1,
    pidFile: '/srv/httpd.pid',
    user: undefined,
    group: undefined,
    listens: [],
    clientLimits: { connections: undefined, handshakes: undefined, exempt: [] },
    base: hostSettings(),
    hosts: [],
    domains: [],
    md: {
      storeDir: '/srv/md',
      httpPort: 80,
      httpsPort: 443,
      retryDelay: 30_000,
      retryFailover: 13,
      activateOn: 'renewal',
      stapling: { renewWindow: { percent: 33 }, keepResponse: { ms: 604_800_000 } },
      rateLimits: {},
      storeLocks: undefined,
      serverStatus: true,
      certificateStatus: true,
      preflight: { enabled: false, resolvers: [] },
      certificateCheck: { name: 'crt.sh', url: 'https://crt.sh?q=' },
      activationDelay: 0,
      checkInterval: 43_200_000,
      initialDelay: 0,
      hooks: { notify: undefined, message: undefined },
    },
    sniPolicy: 'secure',
    passphraseCommand: undefined,
    localCa: undefined,
    dynamic: { stores: [], onDemand: [], cacheBytes: 0, snapshotFile: undefined },
    onDemand: [],
    serveFolders: [],
    api: undefined,
    addedTemplate: { ...domainSettings('added'), at: { file: '', line: 0 } },
    addedStapling: undefined,
    types: { html: 'text/html', txt: 'text/plain', css: 'text/css', png: 'image/png' },
    logFormats: {},
    warnings: [],
    ...changes,
  };
}

type Place<S = Section> = S extends unknown ? Omit<S, 'sections' | 'at' | 'settings'> : never;

export function section(place: Place, settings: Section['settings'], sections: Section[] = []): Section {
  return { ...place, settings, sections, at };
}
