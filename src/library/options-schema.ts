/** Which options there are, and of what kind each is. Programs without types make the same slips as files do. */
import * as v from 'valibot';
import { LatchkeyError } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import type { ListenOptions } from './listening.ts';
import type { LatchkeyOptions, RenewOptions, WaitOptions } from './options.ts';
import type { SecureOptions } from './secure.ts';

export const keyKinds = ['P-256', 'P-384', 'RSA-2048', 'RSA-3072', 'RSA-4096'] as const;

/** Rejects names that are not among the entries. `elsewhere`: by name, what to do instead. */
function group<Entries extends v.ObjectEntries>(
  entries: Entries,
  elsewhere: ReadonlyMap<string, string> = new Map(),
) {
  return v.strictObject(entries, ({ expected, path, input }) => {
    if (expected === 'never') {
      const name = String(input);
      return `there is no such option${elsewhere.get(name) ?? hint(name, Object.keys(entries))}`;
    }
    return path ? 'it is missing' : 'an object is needed';
  });
}

function hint(name: string, known: readonly string[]): string {
  const [first] = nearest(name, known);
  return first === undefined ? '' : `; did you mean ${first}?`;
}

function amount(least: number, most: number, what: string) {
  return v.custom<number>(
    (value) => typeof value === 'number' && value >= least && value <= most,
    ({ received }) => `${what} is needed, not ${received}`,
  );
}

function methods(...names: readonly string[]) {
  const has = (value: unknown, name: string) =>
    typeof (Object(value) as Record<string, unknown>)[name] === 'function';
  return v.custom<object>(
    (value) => names.every((name) => has(value, name)),
    `an object with ${names.map((name) => `${name}()`).join(', ')} is needed`,
  );
}

function oneOf(values: readonly string[]) {
  const needed = `${values.map((value) => `'${value}'`).join(' or ')} is needed`;
  return v.picklist(values, ({ received }) => `${needed}, not ${received}`);
}

const abortable = methods('addEventListener', 'removeEventListener', 'throwIfAborted');
const text = v.string('a text is needed');
const flag = v.boolean('true or false is needed');
const callback = v.function('a function is needed');
const list = <Item extends v.GenericSchema>(item: Item) => v.array(item, 'a list is needed');
const ms = (least: number) => amount(least, Number.MAX_SAFE_INTEGER, `a number of ms, at least ${least},`);
const port = v.pipe(amount(0, 65_535, 'a port (0 to 65535)'), v.integer('a port (0 to 65535) is needed'));

const window = v.pipe(
  group({ percent: v.optional(amount(0, 99, 'a number from 0 to 99')), ms: v.optional(ms(0)) }),
  v.check(
    ({ percent, ms: length }) => (percent === undefined) !== (length === undefined),
    'either percent or ms is needed',
  ),
);

const onDemand = group({
  allow: callback,
  addresses: v.optional(list(text)),
  wait: v.optional(ms(0)),
  keep: v.optional(ms(0)),
});

const entries = {
  domains: v.optional(
    v.array(v.union([v.string(), v.array(v.string())]), "a list of names is needed, as ['example.org']"),
  ),
  email: v.optional(text),
  agreement: v.optional(oneOf(['accepted'])),
  storeDir: v.optional(text),
  store: v.optional(methods('load', 'save', 'remove', 'purge', 'list', 'aspects', 'modified', 'activate')),
  leases: v.optional(methods('take', 'takeWithin', 'changed')),
  authority: v.optional(
    v.union([v.string(), v.array(v.string())], 'a name or URL, or a list of them, is needed'),
  ),
  authorityCa: v.optional(text),
  externalAccount: v.optional(group({ keyId: text, hmac: text })),
  issuer: v.optional(callback),
  challenges: v.optional(list(oneOf(['tls-alpn-01', 'http-01', 'dns-01']))),
  dns: v.optional(methods('add', 'remove')),
  keys: v.optional(list(oneOf(keyKinds))),
  profile: v.optional(text),
  renewWindow: v.optional(window),
  stapling: v.optional(flag),
  tls: v.optional(
    group({
      minVersion: v.optional(oneOf(['TLSv1.2', 'TLSv1.3'])),
      ciphers: v.optional(text),
      clientAuth: v.optional(oneOf(['none', 'optional', 'require'])),
      clientCa: v.optional(text),
    }),
  ),
  ports: v.optional(
    group({
      http: v.optional(v.lazy((value) => (value === false ? v.literal(false) : port))),
      https: v.optional(port),
    }),
  ),
  onDemand: v.optional(v.lazy((value) => (typeof value === 'function' ? callback : onDemand))),
  localCa: v.optional(
    group({ dir: v.optional(text), port: v.optional(port), lifetime: v.optional(ms(1000)) }),
  ),
  logger: v.optional(methods('error', 'warn', 'info', 'debug')),
  clock: v.optional(methods('now', 'sleep')),
  signal: v.optional(abortable),
} satisfies Record<keyof LatchkeyOptions, v.GenericSchema>;

const listen = {
  host: v.optional(text),
  http2: v.optional(flag),
} satisfies Record<keyof ListenOptions, v.GenericSchema>;

const secure = {
  alpn: v.optional(
    list(
      v.custom<string>(
        (name) => typeof name === 'string' && /^.{1,255}$/.test(name),
        'a name of a protocol is needed',
      ),
    ),
  ),
} satisfies Record<keyof SecureOptions, v.GenericSchema>;

const ready = { signal: v.optional(abortable) } satisfies Record<keyof WaitOptions, v.GenericSchema>;

const renew = {
  signal: v.optional(abortable),
  onProgress: v.optional(callback),
} satisfies Record<keyof RenewOptions, v.GenericSchema>;

const ports = '; the option ports of open() says which ports listen() takes';

/** By the method that takes them. */
const schemas = {
  open: group(entries),
  listen: group(
    listen,
    new Map([
      ['port', ports],
      ['ports', ports],
    ]),
  ),
  secure: group(secure),
  ready: group(ready),
  renew: group(renew),
};

/** @throws LatchkeyError `bad-option`, with the option's name, and the method where it isn't open() */
export function checkOptions(options: unknown, method: keyof typeof schemas = 'open'): void {
  const { issues } = v.safeParse(schemas[method], options);
  // A name that there isn't is often why another one is missing.
  const issue = issues?.find(({ expected }) => expected === 'never') ?? issues?.[0];
  if (!issue) return;
  const where = method === 'open' ? '' : `${method}(): `;
  throw new LatchkeyError('bad-option', `${where}${v.getDotPath(issue) ?? 'options'}: ${issue.message}`);
}
