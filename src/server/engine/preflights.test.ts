import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { AcmeClient } from '../../acme/client.ts';
import { TestClock } from '../../base/clock.testing.ts';
import { publish } from '../../base/events.ts';
import { silent } from '../../base/log.ts';
import { startDns } from '../../ca/dns.testing.ts';
import { at, settingsOf } from '../../http/settings.testing.ts';
import { settings as domainNamed, until } from '../../domains/domains.testing.ts';
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
  await clock.advance(2000);
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
  await clock.advance(2000);
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
