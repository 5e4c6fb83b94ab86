/** All of a Pebble at once: slow, refusing nonces, with customers of its own, and a way to us that breaks a third of the time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createRelay } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { request } from 'undici';
import { AcmeClient } from '../../acme/client.ts';
import {
  type ChallengeDns,
  startChallengeDns,
  startPebble,
  withoutChallengeDns,
  withoutPebble,
} from '../../acme/pebble.testing.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { subscribe } from '../../base/events.ts';
import { generateKey } from '../../pki/keys.ts';
import { readAccount } from '../../store/documents.ts';
import { savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { activateStaged } from '../stored/activate.ts';
import { DAY, eventually, impatientClock, P256, P384, settings } from '../domains.testing.ts';
import { RenewalEngine } from '../engine.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { AcmeIssuer } from './acme.ts';

/** A port whose connections lead to `port`, or are reset: every third at random, the same ones each time. */
async function breakingRelay(port: number) {
  let seed = 20_261_122;
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  let resets = 0;
  const server = createRelay((socket) => {
    socket.on('error', () => {});
    if (random() < 1 / 3) {
      resets += 1;
      socket.resetAndDestroy();
      return;
    }
    const onward = connect(port, '127.0.0.1');
    onward.on('error', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: portOf(server), resets: () => resets, server };
}

function portOf(server: ReturnType<typeof createRelay>): number {
  const address = server.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

/** Answers http-01 from the store, over connections that break. */
async function flakyHost(t: TestContext, store: MemoryStore) {
  const challenges = createServer((asked, response) => {
    const name = asked.headers.host?.split(':')[0] ?? '';
    store.load('challenges', name, 'acme-http-01.txt').then(
      (text) => response.writeHead(text ? 200 : 404, { connection: 'close' }).end(text),
      () => response.destroy(),
    );
  });
  await once(challenges.listen(0, '127.0.0.1'), 'listening');
  const relay = await breakingRelay(portOf(challenges));
  t.after(() => {
    relay.server.close();
    challenges.close();
  });
  return relay;
}

/** A command that forgets to set every third record; the last argument is the record's name, if there are four. */
function forgetfulCommand(t: TestContext, { managementUrl }: ChallengeDns): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-forgetful-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'hook');
  const body = `{\\"host\\":\\"\${4:-_acme-challenge.$2}.\\",\\"value\\":\\"$3\\"}`;
  const text = `#!/bin/sh
[ "$1" = teardown ] && exit 0
echo >>"$0.calls"
[ $(($(wc -l <"$0.calls") % 3)) -eq 1 ] || curl -sSf -d "${body}" "${managementUrl}/set-txt"
`;
  writeFileSync(file, text, { mode: 0o755 });
  return file;
}

/** Real time, in which nobody waits long, and which may jump. */
function jumpingClock(): Clock & { jump: (ms: number) => void } {
  let ahead = 0;
  return {
    now: () => Date.now() + ahead,
    sleep: (ms, options) => impatientClock.sleep(ms, options),
    jump: (ms) => void (ahead += ms),
  };
}

test(
  'all certificates are obtained from a CA that fails to validate names, takes its time and wants some back',
  { skip: withoutPebble || withoutChallengeDns },
  async (t) => {
    const store = new MemoryStore();
    const relay = await flakyHost(t, store);
    await using dns = await startChallengeDns();
    const externalAccount = { kid: 'kid-1', hmac: Buffer.alloc(32, 7).toString('base64url') };
    await using pebble = await startPebble({
      httpPort: relay.port,
      resolver: dns.resolver,
      externalAccounts: { [externalAccount.kid]: externalAccount.hmac },
      profiles: { short: { description: 'six days', validityPeriod: 518_400 } },
      env: {
        PEBBLE_VA_ALWAYS_VALID: '0',
        PEBBLE_VA_NOSLEEP: '0',
        PEBBLE_VA_SLEEPTIME: '2',
        PEBBLE_WFE_NONCEREJECT: '30',
        PEBBLE_AUTHZREUSE: '50',
      },
    });
    const commanded = {
      challengeDns01: { command: [forgetfulCommand(t, dns)], version: 1 },
      reach: { ...settings('x').reach, dns01: { possible: true } },
    } as const;
    // One name each: an order of several, of which one fails, has Pebble lock up for good now and then.
    const wishes: Readonly<Record<string, Partial<ManagedDomainSettings>>> = {
      'http-1.example': { challenges: ['http-01'] },
      'http-2.example': { challenges: ['http-01'], domains: ['www.http-2.example'] },
      'keys.example': { challenges: ['http-01'], keys: [P256, P384] },
      'short.example': { challenges: ['http-01'], profile: 'short', profileMandatory: true },
      'dns.example': { challenges: ['dns-01'], domains: ['*.dns.example'], ...commanded },
      'account.example': { challenges: ['dns-account-01'], ...commanded },
      'persist.example': { challenges: ['dns-persist-01'] },
    };
    const names = Object.keys(wishes);
    // An account for all of them, whose key takes long to make.
    const key = await generateKey({ type: 'RSA', bits: 2048 });
    for (const name of names) await savePrivateKey(store, 'staging', name, 'account.pem', key);
    const failures: string[] = [];
    const activated: string[] = [];
    using _failed = subscribe('latchkey:renewal:failed', ({ problem }) => void failures.push(problem.type));
    const clock = jumpingClock();
    await using issuer = new AcmeIssuer({
      store,
      clock: systemClock,
      newClient: (directoryUrl) => new AcmeClient({ directoryUrl, ca: pebble.ca }),
    });
    await using engine = new RenewalEngine({
      domains: names.map((name) =>
        settings(name, { authorities: [pebble.directoryUrl], externalAccount, ...wishes[name] }),
      ),
      store,
      issuer,
      clock,
      retryDelay: 10,
      activate: async (name) => {
        await activateStaged(store, name, { clock });
        activated.push(name);
        return {};
      },
    });
    const of = (wanted: string) => engine.status().find(({ name }) => name === wanted);
    engine.start();

    await eventually(() => of('persist.example')?.problem?.remedy !== undefined);
    const remedy = of('persist.example')?.problem?.remedy ?? '';
    const [, host = '', value = ''] = /: (\S+)\. IN TXT "(.*)"$/.exec(remedy) ?? [];
    const body = JSON.stringify({ host: `${host}.`, value });
    await (await request(`${dns.managementUrl}/set-txt`, { method: 'POST', body })).body.dump();
    for (const name of names) await eventually(() => of(name)?.state === 'complete');
    assert.ok(relay.resets() > 0 && failures.length > 0);
    assert.equal(of('keys.example')?.certificates.length, 2);
    const [short] = of('short.example')?.certificates ?? [];
    assert.ok(short && short.notAfter - short.notBefore < 7 * DAY);
    const [account = ''] = await store.list('accounts');
    assert.equal((await readAccount(store, 'accounts', account))?.eab?.kid, 'kid-1');

    // The CA wants one back.
    await eventually(() => of('dns.example')?.certificates[0]?.ari !== undefined);
    const pem = (await store.load('domains', 'dns.example', 'pubcert.p-256.pem'))?.toString() ?? '';
    const suggestedWindow = { start: '2020-01-01T00:00:00Z', end: '2020-01-02T00:00:00Z' };
    await pebble.setRenewalInfo(pem, { suggestedWindow });
    clock.jump(DAY / 4);
    await eventually(() => activated.filter((name) => name === 'dns.example').length === 2);
    const types = [...new Set(failures.map((type) => type.split(':').at(-1)))].join(' ');
    t.diagnostic(
      `${names.length} domains after ${failures.length} failures (${types}), ${relay.resets()} resets`,
    );
    await eventually(async () => (await store.list('challenges')).length === 0);
  },
);
