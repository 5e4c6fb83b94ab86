import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import * as fc from 'fast-check';
import { TestClock } from '../../base/clock.testing.ts';
import type { ProxyWorker } from '../../config/settings.ts';
import { defaultProxy } from '../settings.testing.ts';
import { Balancer } from './balancer.ts';
import type { Member } from './balancer.ts';
import { ask, httpBackend, listen, startFront } from './proxy.testing.ts';
import { createServer } from 'node:http';

const none: ReadonlySet<Member> = new Set();

function member(url: string, parameters: Record<string, string> = {}): ProxyWorker {
  return { url, parameters };
}

function balance(members: readonly ProxyWorker[], parameters: Record<string, string> = {}) {
  const clock = new TestClock();
  const balancer = new Balancer({ name: 'balancer://x', members, parameters }, clock);
  const take = (route?: string, tried = none) => {
    const chosen = balancer.choose(route, tried);
    if (chosen) balancer.release(chosen, false);
    return chosen?.url;
  };
  return { clock, balancer, take };
}

test('requests are dealt out by loadfactor', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 }), (factors) => {
      const { take } = balance(factors.map((factor, i) => member(`${i}`, { loadfactor: `${factor}` })));
      const counts = factors.map(() => 0);
      const total = factors.reduce((sum, factor) => sum + factor, 0);
      for (let i = 0; i < total; i++) {
        const at = Number(take());
        counts[at] = (counts[at] ?? 0) + 1;
      }
      assert.deepEqual(counts, factors);
    }),
  );
});

test('bybusyness gives to who has least under way', () => {
  const { balancer } = balance([member('a'), member('b')], { lbmethod: 'bybusyness' });
  const [first, second] = [balancer.choose(undefined, none), balancer.choose(undefined, none)];
  assert.notEqual(first, second);
  assert.ok(first);
  balancer.release(first, false);
  assert.equal(balancer.choose(undefined, none), first);
});

test('who failed is left alone for its retry; where all did, they are tried all the same', async () => {
  const { balancer, clock, take } = balance([member('a', { retry: '10' }), member('b')]);
  const a = balancer.choose(undefined, none);
  assert.equal(a?.url, 'a');
  balancer.release(a, true);
  assert.deepEqual([take(), take(), take()], ['b', 'b', 'b']);
  await clock.advance(10_001);
  assert.ok([take(), take()].includes('a'));
  const b = balancer.choose(undefined, new Set([a]));
  assert.ok(b);
  balancer.release(b, true);
  balancer.release(balancer.choose(undefined, new Set([b])) ?? b, true);
  assert.notEqual(take(), undefined);
});

test('failonstatus counts an answer as failure; status=I forgives', () => {
  const { balancer, take } = balance([member('a'), member('b', { status: '+I' })], {
    failonstatus: '500,503',
  });
  for (let i = 0; i < 2; i++) {
    const chosen = balancer.choose(undefined, none);
    assert.ok(chosen);
    balancer.release(chosen, false, 503);
  }
  assert.deepEqual([take(), take()], ['b', 'b']);
});

test('disabled and stopped members are for nobody, standbys for need, the lowest lbset first', () => {
  const members = [
    member('off', { status: 'D' }),
    member('spare', { status: '+H' }),
    member('main', { lbset: '0' }),
    member('far', { lbset: '1' }),
  ];
  const { balancer, take } = balance(members);
  assert.deepEqual([take(), take()], ['main', 'main']);
  const main = balancer.choose(undefined, none);
  assert.ok(main);
  const spare = balancer.choose(undefined, new Set([main]));
  assert.equal(spare?.url, 'spare');
  const far = balancer.choose(undefined, new Set([main, spare]));
  assert.equal(far?.url, 'far');
  assert.equal(balancer.choose(undefined, new Set([main, spare, far])), undefined);
});

test('a session stays with its route, goes elsewhere when that is down, or not with nofailover', () => {
  const members = [member('a', { route: 'one' }), member('b', { route: 'two' })];
  const { balancer, take } = balance(members, { stickysession: 'ROUTEID|sid' });
  assert.equal(balancer.routeOf('x=1; ROUTEID=.two', '/'), 'two');
  assert.equal(balancer.routeOf(undefined, '/?sid=abc.one'), 'one');
  assert.equal(balancer.routeOf('ROUTEID=none', '/'), undefined);
  assert.deepEqual([take('two'), take('two'), take('two')], ['b', 'b', 'b']);
  const b = balancer.choose('two', none);
  assert.ok(b);
  balancer.release(b, true);
  assert.equal(take('two'), 'a');
  const strict = balance(members, { stickysession: 'ROUTEID', nofailover: 'On' });
  const own = strict.balancer.choose('two', none);
  assert.ok(own);
  strict.balancer.release(own, true);
  assert.equal(strict.take('two'), undefined);
});

async function absent(t: TestContext): Promise<string> {
  const server = createServer();
  const port = await listen(t, server);
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

test('a request that could not be connected goes to the next member, its body with it', async (t) => {
  const to = await httpBackend(t, (request, response) => {
    void request.toArray().then((chunks) => response.end(`${request.url} ${Buffer.concat(chunks).length}`));
  });
  const members = [member(await absent(t)), member(`${to}/app`, { route: 'r1' })];
  const proxy = { ...defaultProxy, balancers: [{ name: 'balancer://x', members, parameters: {} }] };
  const front = await startFront(t, { to: 'balancer://X', host: { proxy } });
  const answer = await ask(`${front.url}/a?b`, { method: 'POST' }, 'x'.repeat(300_000));
  assert.deepEqual([answer.status, answer.body], [200, '/app/a?b 300000']);
  assert.match(front.log.join('\n'), /AH01114: HTTP: failed to make connection to backend/);
  const lines = front.log.length;
  assert.equal((await ask(`${front.url}/again`)).body, '/app/again 0');
  assert.equal(front.log.length, lines, 'the failed member is left alone');
});

test('where no member can be had it is a 502, without any a 503', async (t) => {
  const balancers = [
    { name: 'balancer://gone', members: [member(await absent(t)), member(await absent(t))], parameters: {} },
    { name: 'balancer://off', members: [member('http://127.0.0.1:1', { status: 'S' })], parameters: {} },
  ];
  const host = { proxy: { ...defaultProxy, balancers } };
  for (const [to, status] of [
    ['balancer://gone', 502],
    ['balancer://off', 503],
    ['balancer://unknown', 503],
  ] as const) {
    const front = await startFront(t, { to, host });
    assert.equal((await ask(front.url)).status, status, to);
  }
});
