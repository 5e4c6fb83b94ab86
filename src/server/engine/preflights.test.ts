import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { request } from 'undici';
import { AcmeClient } from '../../acme/client.ts';
import { startChallengeDns, withoutChallengeDns } from '../../acme/pebble.testing.ts';
import { TestClock } from '../../base/clock.testing.ts';
import { publish } from '../../base/events.ts';
import { silent } from '../../base/log.ts';
import { startDns } from '../../ca/dns.testing.ts';
import { at, settingsOf } from '../../http/settings.testing.ts';
import { settings as domainNamed, until } from '../../domains/domains.testing.ts';
import { writeAccount } from '../../store/documents.ts';
import { MemoryStore } from '../../store/memory.ts';
import { Preflights } from './preflights.ts';

const NAME = 'www.example.org';
const CONFIGURED = { ...domainNamed(NAME, { authorities: ['https://ca.invalid/dir'] }), at };

async function begin(t: TestContext, enabled = true) {
  const dns = await startDns(t);
  const clock = new TestClock();
  const base = settingsOf();
  const settings = {
    ...base,
    domains: [CONFIGURED],
    md: { ...base.md, preflight: { enabled, resolvers: [dns.server] } },
  };
  const state = { bare: true, asked: 0 };
  const preflights = new Preflights({
    settings: () => settings,
    store: new MemoryStore(),
    logger: silent('md'),
    newClient: (directoryUrl) => {
      state.asked += 1;
      return new AcmeClient({ directoryUrl });
    },
    isNew: () => state.bare,
    clock,
  });
  t.after(() => preflights[Symbol.asyncDispose]());
  return { clock, preflights, state };
}

const started = () => publish('latchkey:renewal:started', { domain: NAME, reason: 'a test' });

test('a first order that takes its time is looked at once, until there is a certificate', async (t) => {
  const { clock, preflights, state } = await begin(t);
  started();
  assert.equal(clock.sleeping, 1);
  await clock.advance(5000);
  await until(() => preflights.of(NAME).length > 0);
  assert.match(preflights.of(NAME)[0]?.detail ?? '', /has no address in DNS/);
  started();
  assert.equal(clock.sleeping, 0);
  state.bare = false;
  publish('latchkey:certificate:installed', { domain: NAME, serials: [], notAfter: 0 });
  assert.deepEqual(preflights.of(NAME), []);
});

test('nothing is looked at where there is a certificate in time, or already, or where it is off', async (t) => {
  const { clock, preflights, state } = await begin(t);
  started();
  state.bare = false;
  await clock.advance(5000);
  await until(() => clock.sleeping === 0);
  await preflights[Symbol.asyncDispose]();
  assert.equal(state.asked, 0);
  const there = await begin(t);
  there.state.bare = false;
  started();
  assert.equal(there.clock.sleeping, 0);
  const off = await begin(t, false);
  started();
  assert.equal(off.clock.sleeping, 0);
});

test('the end of the engine ends it', async (t) => {
  const { clock, preflights } = await begin(t);
  started();
  await preflights[Symbol.asyncDispose]();
  assert.equal(clock.sleeping, 0);
  await assert.rejects(preflights.look(CONFIGURED), /the engine ends/);
});

test('what a CA calls itself, and the account there, are held against CAA', async (t) => {
  if (withoutChallengeDns) return t.skip(withoutChallengeDns);
  await using dns = await startChallengeDns();
  let directories = 0;
  const ca = createServer((asked, response) => {
    directories += 1;
    const base = `http://${asked.headers.host}`;
    const meta = { caaIdentities: ['CA.example'] };
    response
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ newNonce: base, newAccount: base, newOrder: base, meta }));
  }).listen(0, '127.0.0.1');
  t.after(() => ca.close().closeAllConnections());
  await once(ca, 'listening');
  const { port } = ca.address() as AddressInfo;
  const authority = `http://127.0.0.1:${port}/dir`;
  const store = new MemoryStore();
  const base = settingsOf();
  const md = { ...base.md, preflight: { enabled: true, resolvers: [dns.resolver] } };
  await using preflights = new Preflights({
    settings: () => ({ ...base, md }),
    store,
    logger: silent('md'),
    newClient: (directoryUrl) => new AcmeClient({ directoryUrl }),
  });
  const no = { possible: false, reason: 'not here' } as const;
  const domain = domainNamed(NAME, {
    authorities: [authority],
    challengeDns01: { command: ['true'], version: 1 },
    reach: { http01: no, tlsAlpn01: no, dns01: { possible: true } },
  });
  const look = async () => (await preflights.look(domain)).map(({ detail }) => detail).join();
  assert.equal(await look(), '');
  const account = 'https://ca.example/acct/1';
  const policies = [{ tag: 'issue', value: `ca.example; accounturi=${account}` }];
  const body = JSON.stringify({ host: 'example.org.', policies });
  await (await request(`${dns.managementUrl}/add-caa`, { method: 'POST', body })).body.dump();
  assert.match(
    await look(),
    /only for the account https:\/\/ca\.example\/acct\/1; there is no account here yet/,
  );
  const document = { status: 'valid', url: account, 'ca-url': authority, contact: [] };
  await writeAccount(store, 'accounts', 'ACME-127.0.0.1-0000', document);
  assert.equal(await look(), '');
  assert.equal(directories, 1);
});
