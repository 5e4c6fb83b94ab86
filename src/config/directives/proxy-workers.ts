/** Backends and balancers: what requests are sent to, and with which parameters. */
import { isIP } from 'node:net';
import { Refusal, anywhere, declaring, servers } from '../directive.ts';
import type { Family } from '../directive.ts';
import { words } from '../lexer.ts';
import { balancerName } from '../proxies.ts';
import type { Scope } from '../scope.ts';
import type { ProxyParameters } from '../settings.ts';
import { interval, onOff, wholeNumber } from '../values.ts';

const directive = declaring<Scope>();

/** Throws a Refusal for a value that isn't one. */
type Check = (name: string, value: string) => void;

const positive: Check = (name, value) => {
  if (interval(name, value) === 0) throw new Refusal('ProxyPass Timeout must be at least one second');
};
const flag: Check = (_name, value) => void onOff(value);
const any: Check = () => {};
const oneOf =
  (pattern: RegExp, allowed: string): Check =>
  (name, value) => {
    if (!pattern.test(value)) throw new Refusal(`${name} ${value}: use ${allowed}`);
  };
const number =
  (least: number, most: number): Check =>
  (name, value) =>
    void wholeNumber(name, value, least, most);

/** Of one backend, also as a member of a balancer. */
const ofWorkers: Readonly<Record<string, Check>> = {
  connectiontimeout: positive,
  timeout: positive,
  retry: (name, value) => void interval(name, value),
  ttl: positive,
  max: number(1, 1_000_000),
  disablereuse: flag,
  enablereuse: flag,
  keepalive: flag,
  upgrade: any,
  lbset: number(0, 99),
  loadfactor: oneOf(/^(?:[1-9]\d?(?:\.\d{1,2})?|100)$/, 'a number from 1 to 100'),
  route: oneOf(/^[^\s;,]{1,96}$/, 'a word of at most 96 characters'),
  status: oneOf(/^[+-]?[DSIHERN](?:[+-]?[DSIHERN])*$/i, 'letters of D, S, I, H, E, R and N'),
};

const ofBalancers: Readonly<Record<string, Check>> = {
  lbmethod: oneOf(/^(?:byrequests|bybusyness|bytraffic)$/, 'byrequests or bybusyness'),
  stickysession: any,
  nofailover: flag,
  maxattempts: number(0, 1000),
  failonstatus: oneOf(/^[1-5]\d\d(?:,[1-5]\d\d)*$/, 'status codes, separated by commas'),
};

/** httpd's tuning of its own sockets and pools. */
const withoutEffect: ReadonlySet<string> = new Set(
  (
    'acquire addressttl failontimeout flushpackets flushwait forcerecovery growth iobuffersize min nonce ping ' +
    'receivebuffersize redirect responsefieldsize scolonpathdelim secret smax stickysessionsep'
  ).split(' '),
);

const flags: ReadonlySet<string> = new Set(['nocanon', 'interpolate', 'noquery']);

export function isParameter(word: string): boolean {
  return /^[a-z\d_-]+=/i.test(word) || flags.has(word.toLowerCase());
}

/** `key=value` words, checked. `directiveName`: for messages. */
export function parametersOf(
  scope: Scope,
  directiveName: string,
  given: readonly string[],
  balancer: boolean,
): ProxyParameters {
  const known = balancer ? { ...ofWorkers, ...ofBalancers } : ofWorkers;
  const result: Record<string, string> = {};
  for (const word of given) {
    const at = word.indexOf('=');
    if (at < 0) {
      result[word.toLowerCase()] = 'on';
      continue;
    }
    const [key, value] = [word.slice(0, at).toLowerCase(), word.slice(at + 1)];
    const check = Object.hasOwn(known, key) ? known[key] : undefined;
    if (withoutEffect.has(key)) {
      scope.warn('proxy', `${directiveName} parameter ${key} has no effect in Latchkey and is ignored`);
    } else if (!check) {
      throw new Refusal(`${directiveName} unknown ${balancer ? 'balancer' : 'Worker'} parameter '${key}'`);
    } else {
      check(`${directiveName} ${key}`, value);
      result[key] = value;
    }
  }
  if (result.lbmethod === 'bytraffic') {
    scope.warn('proxy', `${directiveName} lbmethod=bytraffic: requests are counted instead of bytes`);
  }
  return result;
}

const schemes: ReadonlySet<string> = new Set(['http', 'https', 'ws', 'wss', 'h2', 'h2c']);

/** An absolute URL of a backend, `unix:PATH|URL`, or of a balancer; refuses what can't be proxied to. */
export function backendUrl(directiveName: string, text: string): string {
  const [, socket, url = ''] = /^(?:unix:([^|]*)\|)?(.*)$/i.exec(text) ?? [];
  if (socket !== undefined && !socket.startsWith('/')) {
    throw new Refusal(`${directiveName} ${text}: the path of a unix socket has to begin with a slash`);
  }
  if (socket === undefined && balancerName(url) !== undefined) return text;
  const scheme = /^([a-z][a-z\d+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined) throw new Refusal(`${directiveName} URL must be absolute!: ${text}`);
  if (!schemes.has(scheme)) {
    throw new Refusal(
      `${directiveName}: ${scheme}: is not supported by this version of Latchkey; use http, https, ws, wss, h2, h2c, balancer or unix:PATH|http://localhost`,
    );
  }
  if (!/^[a-z\d]+:\/\/[^/]/i.test(url) || !URL.canParse(url)) {
    throw new Refusal(`${directiveName} URL must be absolute!: ${text}`);
  }
  return text;
}

export const proxyWorkers: Family<Scope> = {
  module: 'proxy',
  title: 'Backends and balancers',
  directives: [
    directive({
      name: 'BalancerMember',
      syntax: '[balancer://name] URL [key=value …]',
      contexts: anywhere,
      doc: 'A backend of a balancer; in <Proxy balancer://name> without that name.',
      args: 'RAW_ARGS',
      apply(scope, text) {
        const all = words(text);
        const plain = all.filter((word) => !isParameter(word));
        const name = balancerName(scope.proxyUrl ?? plain.shift() ?? '');
        const [url, ...more] = plain;
        if (name === undefined || url === undefined || more.length > 0) {
          throw new Refusal(
            'BalancerMember needs a balancer (balancer://name, unless in <Proxy balancer://name>) and one URL',
          );
        }
        if (balancerName(url) !== undefined) {
          throw new Refusal(`BalancerMember ${url}: a balancer can't be a member`);
        }
        const parameters = parametersOf(scope, 'BalancerMember', all.filter(isParameter), false);
        const member = backendUrl('BalancerMember', url).replace(/\/$/, '');
        scope.host.proxy.members.push({ balancer: name, url: member, parameters });
      },
    }),
    directive({
      name: 'ProxySet',
      syntax: '[URL] key=value …',
      contexts: anywhere,
      doc: 'Parameters of a backend or balancer; in <Proxy URL> without the URL.',
      args: 'RAW_ARGS',
      apply(scope, text) {
        const all = words(text);
        const [given, ...more] = all.filter((word) => !isParameter(word));
        const url = scope.proxyUrl ?? given;
        if (url === undefined || more.length > 0 || (scope.proxyUrl !== undefined && given !== undefined)) {
          throw new Refusal('ProxySet needs a URL (in <Proxy URL>: no other) and key=value parameters');
        }
        const name = balancerName(backendUrl('ProxySet', url));
        const parameters = parametersOf(scope, 'ProxySet', all.filter(isParameter), name !== undefined);
        scope.host.proxy.workers.push({ url: name ?? url, parameters });
      },
    }),
    directive({
      name: 'ProxySourceAddress',
      syntax: 'IP-address',
      contexts: servers,
      doc: 'The local address that backends are connected to from.',
      args: 'TAKE1',
      apply(scope, address) {
        if (isIP(address) === 0) throw new Refusal(`ProxySourceAddress ${address} is no IP address`);
        scope.host.proxy.sourceAddress = address;
      },
    }),
  ],
};
