import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { AcmeClient } from '../../acme/client.ts';
import { reply, startHostileCa } from '../../acme/hostile-ca.testing.ts';
import {
  startChallengeDns,
  startPebble,
  withoutChallengeDns,
  withoutPebble,
} from '../../acme/pebble.testing.ts';
import { TestClock } from '../../base/clock.testing.ts';
import { parseChain } from '../../pki/certificate.ts';
import { generateKey } from '../../pki/keys.ts';
import { readOrder } from '../../store/documents.ts';
import { savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { impatientClock, settings } from '../domains.testing.ts';
import { RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { AcmeIssuer } from './acme.ts';
import { setUpRecord, tearDownRecord } from './dns-01.ts';

const accountKey = await generateKey({ type: 'RSA', bits: 2048 });
const no = { possible: false, reason: 'not here' } as const;

async function storeFor(name: string): Promise<MemoryStore> {
  const store = new MemoryStore();
  await savePrivateKey(store, 'staging', name, 'account.pem', accountKey);
  return store;
}

/** A command that notes each call in a file before it does what `text` says. */
async function hook(t: TestContext, text = '') {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-dns01-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'hook');
  await writeFile(file, `#!/bin/sh\necho "$@" >>"${folder}/calls"\n${text}\n`);
  await chmod(file, 0o755);
  return {
    file,
    folder,
    calls: async () => (await readFile(join(folder, 'calls'), 'utf8')).trim().split('\n'),
  };
}

/** A domain and its wildcard, which nothing but dns-01 can validate. */
function wildcard(command: readonly string[], version: 1 | 2): ManagedDomainSettings {
  return settings('example.org', {
    domains: ['example.org', '*.example.org'],
    challengeDns01: { command, version },
    reach: { http01: no, tlsAlpn01: no, dns01: { possible: true } },
  });
}

interface At {
  readonly store: MemoryStore;
  readonly directoryUrl: string;
  readonly ca?: string | undefined;
}

/** What it told on the way. */
async function obtain({ store, directoryUrl, ca }: At, domain: ManagedDomainSettings): Promise<string[]> {
  const told: string[] = [];
  await using issuer = new AcmeIssuer({
    store,
    clock: impatientClock,
    newClient: (url) => new AcmeClient({ directoryUrl: url, ca }),
  });
  await issuer.obtain(domain, {
    authority: directoryUrl,
    progress: ({ detail }) => told.push(detail),
  });
  return told;
}

async function failure(at: At, domain: ManagedDomainSettings): Promise<RenewalError> {
  const error: unknown = await obtain(at, domain).catch((reason: unknown) => reason);
  assert.ok(error instanceof RenewalError, String(error));
  return error;
}

async function assertObtained(store: MemoryStore): Promise<void> {
  const pem = await store.load('staging', 'example.org', 'pubcert.p-256.pem');
  const [leaf] = parseChain(pem?.toString() ?? '');
  assert.deepEqual([...(leaf?.names ?? [])].sort(), ['*.example.org', 'example.org']);
  assert.equal(await readOrder(store, 'staging', 'example.org'), undefined);
}

const data = '[A-Za-z0-9_-]{43}';

suite('dns-01 by a command', () => {
  test('of version 1: set up for one value of a name at a time, taken down by the name', async (t) => {
    await using ca = await startHostileCa();
    const { file, calls } = await hook(t);
    const store = await storeFor('example.org');
    await obtain({ store, ...ca }, wildcard([file, '--zone', 'a b'], 1));
    await assertObtained(store);
    const [first = '', second = '', ...others] = await calls();
    assert.match(first, new RegExp(`^--zone a b setup example\\.org ${data}$`));
    assert.match(second, new RegExp(`^--zone a b setup example\\.org ${data}$`));
    assert.notEqual(first, second);
    assert.deepEqual(others, ['--zone a b teardown example.org']);
  });

  test('of version 2: all values of a name at once, each taken down by itself', async (t) => {
    await using ca = await startHostileCa();
    const { file, calls } = await hook(t);
    const store = await storeFor('example.org');
    ca.next('challenge', reply.problem('serverInternal', 500));
    await failure({ store, ...ca }, wildcard([file], 2));
    const setups = await calls();
    assert.equal(setups.length, 2);
    const labels = (await readOrder(store, 'staging', 'example.org'))?.['challenge-setups'];
    assert.deepEqual(
      labels,
      setups.map((line) => line.replace('setup ', 'dns-01:')),
    );
    // The same order goes on, with the same data.
    await obtain({ store, ...ca }, wildcard([file], 2));
    await assertObtained(store);
    assert.equal(ca.seen.filter(({ endpoint }) => endpoint === 'newOrder').length, 1);
    const teardowns = (await calls()).filter((line) => line.startsWith('teardown'));
    assert.deepEqual(
      teardowns,
      setups.map((line) => line.replace('setup', 'teardown')),
    );
  });

  test('that fails to set up fails the renewal in its words, before the CA is told to look', async (t) => {
    await using ca = await startHostileCa();
    const { file } = await hook(t, 'echo "no such zone" >&2; exit 7');
    const store = await storeFor('example.org');
    const { problem } = await failure({ store, ...ca }, wildcard([file, '--token', 'SECRET'], 1));
    assert.deepEqual(problem, {
      type: 'urn:latchkey:problem:dns-01-setup',
      detail: `MDChallengeDns01: '${file} … setup example.org' ended with exit code 7: no such zone`,
    });
    assert.ok(ca.seen.every(({ endpoint }) => endpoint !== 'challenge'));
    const gone = await failure({ store, ...ca }, wildcard(['/nonexistent/hook'], 1));
    assert.match(gone.problem.detail, /could not be run: spawn \/nonexistent\/hook ENOENT$/);
    assert.equal(ca.seen.filter(({ endpoint }) => endpoint === 'newOrder').length, 1);
  });

  test('that fails to take down is told, and spoils nothing', async (t) => {
    await using ca = await startHostileCa();
    const { file } = await hook(t, '[ "$1" = setup ] || { echo "try later"; exit 1; }');
    const store = await storeFor('example.org');
    const told = await obtain({ store, ...ca }, wildcard([file], 1));
    await assertObtained(store);
    const detail = `MDChallengeDns01: '${file} teardown example.org' ended with exit code 1: try later`;
    assert.ok(told.includes(detail), told.join('\n'));
  });

  test('that is not configured any more leaves the record, and says so', async (t) => {
    await using ca = await startHostileCa();
    const { file } = await hook(t);
    const store = await storeFor('example.org');
    ca.next('challenge', reply.problem('serverInternal', 500));
    await failure({ store, ...ca }, wildcard([file], 1));
    const reach = { http01: { possible: true }, tlsAlpn01: no, dns01: no } as const;
    const without = { domains: ['example.org'], challengeDns01: undefined, reach };
    const told = await obtain({ store, ...ca }, { ...wildcard([], 1), ...without });
    assert.ok(
      told.includes('No MDChallengeDns01 is left that could remove the DNS record of example.org'),
      told.join('\n'),
    );
  });

  test('is run for names of the domain only, whatever the CA says', async (t) => {
    await using ca = await startHostileCa();
    const { file, calls } = await hook(t);
    const challenge = {
      type: 'dns-01',
      url: `${ca.origin}/challenge/0/0/dns-01`,
      status: 'pending',
      token: 'x',
    };
    ca.next(
      'authorization',
      reply.json({
        status: 'pending',
        identifier: { type: 'dns', value: '--all' },
        challenges: [challenge],
      }),
    );
    const store = await storeFor('example.org');
    const { problem } = await failure({ store, ...ca }, wildcard([file], 1));
    assert.equal(problem.detail, 'The CA wants --all validated, which is no name of this domain');
    await assert.rejects(calls(), { code: 'ENOENT' });
  });
});

const withoutCurl = spawnSync('curl', ['--version']).error ? 'curl is not installed' : false;

suite(
  'a wildcard certificate from Pebble',
  { skip: withoutPebble || withoutChallengeDns || withoutCurl },
  () => {
    const clear = `post clear-txt "{\\"host\\":\\"_acme-challenge.$2.\\"}"`;
    const add = `post set-txt "{\\"host\\":\\"_acme-challenge.$2.\\",\\"value\\":\\"$3\\"}"`;
    for (const [version, setup] of [
      [1, `${clear}; ${add}`],
      [2, add],
    ] as const) {
      test(`is obtained by a command of version ${version}`, async (t) => {
        await using dns = await startChallengeDns();
        await using pebble = await startPebble({ resolver: dns.resolver });
        const { file, calls } = await hook(
          t,
          `post() { curl -sSf -d "$2" "${dns.managementUrl}/$1"; }
case $1 in
  setup) ${setup};;
  teardown) ${clear};;
esac`,
        );
        const store = await storeFor('example.org');
        await obtain({ store, ...pebble }, wildcard([file], version));
        await assertObtained(store);
        assert.deepEqual(
          (await calls()).map((call) => call.split(' ')[0]),
          version === 1 ? ['setup', 'setup', 'teardown'] : ['setup', 'setup', 'teardown', 'teardown'],
        );
      });
    }
  },
);

suite('a program that writes records', () => {
  const record = { name: 'example.org', data: 'DATA' };
  const hanging = () => new Promise<never>(() => {});
  const provider = { add: hanging, remove: hanging };

  test('has a minute to add one, then the renewal fails with that', async () => {
    const clock = new TestClock();
    const failed = assert.rejects(setUpRecord(provider, record, { clock }), {
      name: 'RenewalError',
      message: /_acme-challenge\.example\.org could not be added: it did not end within 60 s/,
    });
    await clock.advance(60_000);
    await failed;
  });

  test('has a minute to remove one, then that is told', async () => {
    const clock = new TestClock();
    const told = tearDownRecord(provider, record, { clock });
    await clock.advance(60_000);
    assert.match((await told) ?? '', /could not be removed: it did not end within 60 s/);
  });

  test('keeps nobody who gives up', async () => {
    const controller = new AbortController();
    const options = { clock: new TestClock(), signal: controller.signal };
    const reason = new Error('closing');
    const ended = [
      assert.rejects(setUpRecord(provider, record, options), reason),
      assert.rejects(tearDownRecord(provider, record, options), reason),
    ];
    controller.abort(reason);
    await Promise.all(ended);
  });
});
