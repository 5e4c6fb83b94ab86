/** Bounds of connections and requests, in time and size. */
import { Refusal, declaring, servers } from '../directive.ts';
import type { Directive, Family } from '../directive.ts';
import type { Scope } from '../scope.ts';
import type { ConnectionLimits, ReadTimeout } from '../settings.ts';
import { interval, wholeNumber } from '../values.ts';

const directive = declaring<Scope>();

type NumberLimit = {
  [Key in keyof ConnectionLimits]: ConnectionLimits[Key] extends number ? Key : never;
}[keyof ConnectionLimits];

/** What holds where the configuration says nothing. Times in ms, sizes in bytes. */
export const defaultLimits: ConnectionLimits = {
  timeout: 60_000,
  keepAlive: true,
  keepAliveTimeout: 5000,
  maxKeepAliveRequests: 100,
  handshakeTimeout: { initial: 0, max: 0, minRate: 0 },
  headerTimeout: { initial: 20_000, max: 40_000, minRate: 500 },
  bodyTimeout: { initial: 20_000, max: 0, minRate: 500 },
  requestBody: 1_073_741_824,
  requestFields: 100,
  requestFieldSize: 8190,
  requestLine: 8190,
};

function time(name: string, key: NumberLimit, doc: string): Directive<Scope> {
  return directive({
    name,
    syntax: 'seconds',
    contexts: servers,
    default: String(defaultLimits[key] / 1000),
    doc,
    args: 'TAKE1',
    apply(scope, text) {
      scope.host.limits[key] = interval(name, text);
    },
  });
}

function number(name: string, key: NumberLimit, most: number, doc: string): Directive<Scope> {
  return directive({
    name,
    syntax: 'number',
    contexts: servers,
    default: String(defaultLimits[key]),
    doc,
    args: 'TAKE1',
    apply(scope, text) {
      scope.host.limits[key] = wholeNumber(name, text, 0, most);
    },
  });
}

const LARGEST = 2 ** 31 - 1;

export const limits: Family<Scope> = {
  module: 'core',
  title: 'Limits',
  directives: [
    time('Timeout', 'timeout', 'How long to wait for a peer that neither sends nor takes anything.'),
    directive({
      name: 'KeepAlive',
      syntax: 'On|Off',
      contexts: servers,
      default: 'On',
      doc: 'Several requests over one connection.',
      args: 'FLAG',
      apply(scope, on) {
        scope.host.limits.keepAlive = on;
      },
    }),
    time('KeepAliveTimeout', 'keepAliveTimeout', 'How long to wait for the next request of a connection.'),
    number(
      'MaxKeepAliveRequests',
      'maxKeepAliveRequests',
      LARGEST,
      'Requests in one connection; 0 is any number.',
    ),
    directive({
      name: 'RequestReadTimeout',
      syntax: '[handshake|header|body]=seconds[-most][,MinRate=bytes] …',
      contexts: servers,
      default: 'handshake=0 header=20-40,MinRate=500 body=20,MinRate=500',
      doc: 'How long handshake, header and body may take to arrive; 0 is any time.',
      args: 'ITERATE',
      apply(scope, ...parts) {
        for (const part of parts) {
          const [key, timeout] = readTimeout(part);
          scope.host.limits[key] = timeout;
        }
      },
    }),
    number(
      'LimitRequestBody',
      'requestBody',
      Number.MAX_SAFE_INTEGER,
      'Bytes of a request body; 0 is any number.',
    ),
    number('LimitRequestFields', 'requestFields', LARGEST, 'Header fields of a request; 0 is any number.'),
    number('LimitRequestFieldSize', 'requestFieldSize', LARGEST, 'Bytes of one header field.'),
    number('LimitRequestLine', 'requestLine', LARGEST, 'Bytes of the request line.'),
  ],
};

const phases = {
  handshake: 'handshakeTimeout',
  header: 'headerTimeout',
  body: 'bodyTimeout',
} as const;

type Phase = (typeof phases)[keyof typeof phases];

function readTimeout(text: string): readonly [Phase, ReadTimeout] {
  const say = (problem: string) => new Refusal(`RequestReadTimeout: ${text}: ${problem}`);
  const [name = '', value] = text.split('=', 2).length === 2 ? split(text) : [];
  if (value === undefined) {
    throw new Refusal(`Invalid RequestReadTimeout parameter. Parameter must be in the form 'key=value'`);
  }
  const phase = Object.entries(phases).find(([key]) => key === name.toLowerCase())?.[1];
  if (!phase) throw say('Unknown RequestReadTimeout parameter; known are handshake, header, body');
  const match = /^(\d+)(?:-(\d+))?(?:,MinRate=(\d+))?$/i.exec(value);
  if (!match) throw say(`Value '${value}' not numerical`);
  const [, initial, most, rate] = match;
  if (most !== undefined && rate === undefined) throw say('Must set MinRate option if using timeout range');
  if (rate !== undefined && Number(rate) === 0) throw say('Minimum data rate must be larger than 0');
  if (most !== undefined && Number(most) < Number(initial))
    throw say('The upper time must not be the smaller');
  return [
    phase,
    { initial: Number(initial) * 1000, max: Number(most ?? 0) * 1000, minRate: Number(rate ?? 0) },
  ];
}

function split(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}
