/** Challenges that only newer CAs offer, against Pebble and its DNS server. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { request } from 'undici';
import { AcmeClient } from '../../acme/client.ts';
import {
  type ChallengeDns,
  type Pebble,
  startChallengeDns,
  startPebble,
  withoutChallengeDns,
  withoutPebble,
} from '../../acme/pebble.testing.ts';
import { parseChain } from '../../pki/certificate.ts';
import { generateKey } from '../../pki/keys.ts';
import { savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { impatientClock, settings } from '../domains.testing.ts';
import { RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { AcmeIssuer } from './acme.ts';
import { accountRecordName } from './dns-records.ts';

const names = ['example.org', '*.example.org'];

async function storeWithAccountKey(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await savePrivateKey(
    store,
    'staging',
    'example.org',
    'account.pem',
    await generateKey({ type: 'RSA', bits: 2048 }),
  );
  return store;
}

/** Fulfilled with what was told, and the names of the certificate. */
async function obtain(store: MemoryStore, { directoryUrl, ca }: Pebble, domain: ManagedDomainSettings) {
  const told: string[] = [];
  await using issuer = new AcmeIssuer({
    store,
    clock: impatientClock,
    newClient: (url) => new AcmeClient({ directoryUrl: url, ca }),
  });
  const progress = ({ detail }: { detail: string }) => told.push(detail);
  await issuer.obtain(domain, { authority: directoryUrl, progress });
  const pem = await store.load('staging', 'example.org', 'pubcert.p-256.pem');
  const [leaf] = parseChain(pem?.toString() ?? '');
  return { told, names: [...(leaf?.names ?? [])].sort() };
}

async function setTxt(dns: ChallengeDns, host: string, value: string): Promise<void> {
  const body = JSON.stringify({ host: `${host}.`, value });
  const answer = await request(`${dns.managementUrl}/set-txt`, { method: 'POST', body });
  assert.equal(answer.statusCode, 200);
}

test('the label of an account is that of the draft', () => {
  const url = 'https://example.com/acme/acct/ExampleAccount';
  assert.equal(accountRecordName(url, 'example.org'), '_ujmmovf2vn55tgye._acme-challenge.example.org');
});

suite('validated by DNS', { skip: withoutPebble || withoutChallengeDns }, () => {
  test('with a label of its own, an account is told to the command as a last argument', async (t) => {
    await using dns = await startChallengeDns();
    await using pebble = await startPebble({ resolver: dns.resolver });
    const folder = mkdtempSync(join(tmpdir(), 'latchkey-dns-account-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'hook');
    const body = `{\\"host\\":\\"$4.\\",\\"value\\":\\"$3\\"}`;
    const set = `curl -sSf -d "${body}" "${dns.managementUrl}/set-txt"`;
    writeFileSync(file, `#!/bin/sh\necho "$@" >>"$0.calls"\n[ "$1" = teardown ] || ${set}\n`, {
      mode: 0o755,
    });
    const domain = settings('example.org', {
      domains: names,
      challenges: ['dns-account-01'],
      challengeDns01: { command: [file], version: 2 },
      reach: { ...settings('x').reach, dns01: { possible: true } },
    });
    const obtained = await obtain(await storeWithAccountKey(), pebble, domain);
    assert.deepEqual(obtained.names, [...names].sort());
    const calls = readFileSync(`${file}.calls`, 'utf8').trimEnd().split('\n');
    const at = '_[a-z2-7]{16}\\._acme-challenge\\.example\\.org';
    const shape = (verb: string) => new RegExp(`^${verb} example\\.org [\\w-]{43} ${at}$`);
    assert.deepEqual(
      calls.map((call) => call.split(' ')[0]),
      ['setup', 'setup', 'teardown', 'teardown'],
    );
    for (const call of calls) assert.match(call, shape(call.split(' ')[0] ?? ''));
  });

  test('by a record that is set once, which is told until it is there', async () => {
    await using dns = await startChallengeDns();
    await using pebble = await startPebble({ resolver: dns.resolver });
    const store = await storeWithAccountKey();
    const domain = settings('example.org', { domains: names, challenges: ['dns-persist-01'] });
    const failed: unknown = await obtain(store, pebble, domain).catch((error: unknown) => error);
    assert.ok(failed instanceof RenewalError, String(failed));
    const record = /Set this DNS record once, for good: (\S+)\. IN TXT "(.*)"$/.exec(
      failed.problem.remedy ?? '',
    );
    assert.ok(record, JSON.stringify(failed.problem));
    const [, host = '', value = ''] = record;
    assert.equal(host, '_validation-persist.example.org');
    await setTxt(dns, host, value.includes('policy=') ? value : `${value}; policy=wildcard`);
    const { names: obtained } = await obtain(store, pebble, domain);
    assert.deepEqual(obtained, [...names].sort());
  });
});
