import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MemoryStore } from '../store/memory.ts';
import { checkOptions } from './options-schema.ts';

const problemOf = (options: unknown, method?: Parameters<typeof checkOptions>[1]) => {
  try {
    checkOptions(options, method);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'bad-option');
    return error.message;
  }
};

test('an option that there is not is named, with the one that may be meant', () => {
  const cases: readonly (readonly [object, string])[] = [
    [{ domain: ['example.org'] }, 'domain: there is no such option; did you mean domains?'],
    [{ storeDIR: 'x' }, 'storeDIR: there is no such option; did you mean storeDir?'],
    [{ blether: 1 }, 'blether: there is no such option'],
    [{ constructor: 1 }, 'constructor: there is no such option'],
    [{ onDemand: { alow: () => true } }, 'onDemand.alow: there is no such option; did you mean allow?'],
    [{ externalAccount: { kid: 'a', hmac: 'SECRET' } }, 'externalAccount.kid: there is no such option'],
    [{ tls: { minVersoin: 'TLSv1.3' } }, 'tls.minVersoin: there is no such option; did you mean minVersion?'],
    [{ ports: { htps: 1 } }, 'ports.htps: there is no such option; did you mean https?'],
    [{ localCa: { life: 1 } }, 'localCa.life: there is no such option'],
    [
      { renewWindow: { percents: 30 } },
      'renewWindow.percents: there is no such option; did you mean percent?',
    ],
  ];
  for (const [options, message] of cases) assert.equal(problemOf(options), message);
});

test('so is one of a method, by its name', () => {
  const ports = '; the option ports of open() says which ports listen() takes';
  const cases: readonly (readonly [Parameters<typeof checkOptions>[1], unknown, string])[] = [
    ['listen', { http2: true, hots: 'x' }, 'listen(): hots: there is no such option; did you mean host?'],
    ['listen', { port: 8443 }, `listen(): port: there is no such option${ports}`],
    ['listen', 8443, 'listen(): options: an object is needed'],
    ['listen', { http2: 'yes' }, 'listen(): http2: true or false is needed'],
    ['secure', { ALPN: [] }, 'secure(): ALPN: there is no such option; did you mean alpn?'],
    ['secure', { alpn: 'h2' }, 'secure(): alpn: a list is needed'],
    ['secure', { alpn: [''] }, 'secure(): alpn.0: a name of a protocol is needed'],
    ['ready', { singal: 1 }, 'ready(): singal: there is no such option; did you mean signal?'],
    ['renew', { onprogress: 1 }, 'renew(): onprogress: there is no such option; did you mean onProgress?'],
    ['renew', { onProgress: 1 }, 'renew(): onProgress: a function is needed'],
  ];
  for (const [method, options, message] of cases) assert.equal(problemOf(options, method), message);
  assert.equal(problemOf({ host: '::1', http2: undefined }, 'listen'), undefined);
  assert.equal(problemOf({ alpn: ['h2', 'http/1.1'] }, 'secure'), undefined);
});

test('a value that an option cannot have is named', () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /^options: an object/],
    [{ domains: [5] }, /^domains\.0: /],
    [{ email: 5 }, /^email: a text/],
    [{ renewWindow: { percent: 300 } }, /^renewWindow\.percent: a number from 0 to 99 is needed, not 300$/],
    [{ renewWindow: { ms: -1 } }, /^renewWindow\.ms: .* not -1$/],
    [{ renewWindow: { ms: NaN } }, /^renewWindow\.ms: /],
    [{ renewWindow: { ms: 1, percent: 1 } }, /^renewWindow: either percent or ms/],
    [{ renewWindow: {} }, /^renewWindow: either percent or ms/],
    [{ ports: { http: true } }, /^ports\.http: a port/],
    [{ ports: { https: 65_536 } }, /^ports\.https: a port/],
    [{ ports: { https: 1.5 } }, /^ports\.https: a port/],
    [{ onDemand: { allow: () => true, wait: '20s' } }, /^onDemand\.wait: a number of ms/],
    [{ externalAccount: { hmac: 'SECRET' } }, /^externalAccount\.keyId: it is missing$/],
    [{ dns: { add: () => {} } }, /^dns: an object with add\(\), remove\(\)/],
    [{ tls: { minVersion: 'TLSv1' } }, /^tls\.minVersion: 'TLSv1\.2' or 'TLSv1\.3' is needed, not "TLSv1"$/],
    [{ challenges: ['http-1'] }, /^challenges\.0: /],
    [{ localCa: { lifetime: 0 } }, /^localCa\.lifetime: /],
    [{ stapling: 'no' }, /^stapling: true or false/],
    [{ logger: () => {} }, /^logger: an object with error\(\)/],
    [{ signal: 5 }, /^signal: /],
  ];
  for (const [options, message] of cases) assert.match(problemOf(options) ?? '', message);
});

test('what the guide shows is permitted, and so is undefined for each option', () => {
  const good = {
    domains: [['example.org'], ['a.example', '*.a.example']],
    store: new MemoryStore(),
    authority: ['LetsEncrypt', 'https://ca.example/'],
    externalAccount: { keyId: 'a', hmac: 'b' },
    onDemand: () => true,
    ports: { http: false, https: 8443 },
    renewWindow: { percent: 33, ms: undefined },
    logger: console,
    signal: new AbortController().signal,
    dns: new (class {
      async add() {}
      async remove() {}
    })(),
  };
  assert.equal(problemOf(good), undefined);
  const nothing = Object.fromEntries(Object.keys(good).map((name) => [name, undefined]));
  assert.equal(problemOf(nothing), undefined);
});

test('whatever is given, a problem is an error of ours that tells no text of a secret', () => {
  const anything = fc.record(
    {
      domains: fc.anything(),
      externalAccount: fc.constant('SECRET'),
      keys: fc.anything(),
      tls: fc.anything(),
    },
    { requiredKeys: ['externalAccount'] },
  );
  fc.assert(fc.property(anything, (options) => !/SECRET/.test(problemOf(options) ?? '')));
});
