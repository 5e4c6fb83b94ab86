import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type EventName, subscribe } from '../base/events.ts';
import { encodeJob, readJob, readOrder } from '../store/documents.ts';
import { formatDate } from '../store/formats.ts';
import { loadPrivateKey, savePrivateKey } from '../store/keys.ts';
import { MemoryStore } from '../store/memory.ts';
import { activateStaged } from './stored/activate.ts';
import { DAY, makePair, P256, P384, put, settings, until } from './domains.testing.ts';
import { fixture, idle, type Script, statusOf } from './engine.testing.ts';
import { ownProblem, RenewalError } from './issuer.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

suite('the engine', () => {
  test('asks no CA before it is started, then obtains, activates and waits for the window', async () => {
    const domain = settings('a.example', { domains: ['a.example', 'b.example'] });
    await using f = fixture([domain]);
    await f.clock.advance(HOUR);
    assert.equal(f.issuer.runs.length, 0);
    f.engine.start();
    await until(() => f.activations === 1);
    await idle(f);
    const status = statusOf(f.engine, 'a.example');
    assert.equal(status.state, 'complete');
    assert.equal(status.certificates.length, 1);
    assert.deepEqual(status.certificates[0]?.names, ['a.example', 'b.example']);
    assert.equal(status.certificates[0]?.key, 'P-256');
    assert.equal(status.activity, undefined);
    assert.equal(status.problem, undefined);
    const obtained = status.certificates[0]?.notBefore ?? 0;
    assert.equal(status.renewAt, Math.floor(obtained + 0.67 * 90 * DAY));
    assert.equal(status.nextRun, status.renewAt);
    assert.deepEqual(await f.store.list('staging'), []);
    assert.ok(f.log.some((line) => line.includes('AH10059: The Managed Domain a.example has been setup')));
  });

  test('renews at the beginning of the window, again and again, archiving', async () => {
    await using f = fixture([settings('a.example')]);
    f.issuer.life = 60 * SECOND;
    f.engine.start();
    for (let renewal = 1; renewal <= 3; renewal += 1) {
      await until(() => f.activations === renewal);
      await idle(f);
      await f.clock.advance(41 * SECOND);
    }
    assert.deepEqual(await f.store.list('archive'), ['a.example.1', 'a.example.2']);
    const times = f.issuer.runs.map(({ at }) => at);
    assert.ok(times.slice(1).every((at, index) => at - (times[index] ?? 0) >= 40 * SECOND));
  });

  test('backs off after errors, doubling to a day, and shows the problem whole', async () => {
    const problem = {
      type: 'urn:ietf:params:acme:error:dns',
      detail: 'no such name',
      status: 400,
      subproblems: [{ type: 'urn:ietf:params:acme:error:dns', detail: 'NXDOMAIN', identifier: 'a.example' }],
    };
    await using f = fixture([settings('a.example')], { retryDelay: 10 * SECOND });
    f.issuer.script = () => {
      throw new RenewalError(problem);
    };
    f.engine.start();
    const delays: number[] = [];
    for (let run = 1; run <= 15; run += 1) {
      await until(() => f.issuer.runs.length === run);
      await idle(f);
      const { nextRun = 0, errors, problem: shown } = statusOf(f.engine, 'a.example');
      assert.equal(errors, run);
      assert.deepEqual(shown, problem);
      delays.push((nextRun - f.clock.now()) / SECOND);
      await f.clock.advance(nextRun - f.clock.now());
    }
    assert.deepEqual(delays.slice(0, 5), [10, 20, 40, 80, 160]);
    assert.equal(delays.at(-1), 86_400);
    const job = await readJob(f.store, 'staging', 'a.example');
    assert.equal(job?.last?.problem, problem.type);
    assert.equal(job?.last?.detail, 'no such name');
    assert.ok(f.log.some((line) => /\[md:error\].*AH10056: processing a\.example: no such name/.test(line)));
  });

  test('tries the next CA after as many errors as configured, a new number counting from a reload on', async () => {
    const authorities = ['https://one.example/dir', 'https://two.example/dir'];
    const domains = [settings('a.example', { authorities })];
    await using f = fixture(domains, { retryDelay: SECOND, retryFailover: 2 });
    f.issuer.script = () => {
      throw new RenewalError(ownProblem('down', 'the CA is down'));
    };
    const fail = async (times: number) => {
      for (let time = 1; time <= times; time += 1) {
        const run = f.issuer.runs.length + 1;
        await f.clock.advance((statusOf(f.engine, 'a.example').nextRun ?? 0) - f.clock.now());
        await until(() => f.issuer.runs.length === run);
        await idle(f);
      }
    };
    f.engine.start();
    await until(() => f.issuer.runs.length === 1);
    await idle(f);
    await fail(4);
    assert.equal(statusOf(f.engine, 'a.example').authority, authorities[0]);
    f.engine.reconfigure(domains, { retryDelay: 7 * SECOND, retryFailover: 1 });
    assert.equal(statusOf(f.engine, 'a.example').authority, authorities[1]);
    await fail(3);
    const used = f.issuer.runs.map(({ authority }) => (authority === authorities[0] ? 1 : 2));
    assert.deepEqual(used, [1, 1, 2, 2, 1, 2, 1, 2]);
    const { nextRun = 0 } = statusOf(f.engine, 'a.example');
    assert.equal(nextRun - f.clock.now(), 7 * SECOND * 2 ** 7);
  });

  test('renews nothing for another external account, but tries anew what failed with the former', async () => {
    const account = (kid: string) => ({ externalAccount: { kid, hmac: 'AAAA' } });
    await using f = fixture([settings('a.example', account('one')), settings('b.example', account('one'))]);
    f.issuer.script = ({ name, externalAccount }) => {
      if (name !== 'b.example' || externalAccount?.kid !== 'one') return;
      throw new RenewalError(ownProblem('unknown', 'the external account is unknown'));
    };
    f.engine.start();
    await until(() => f.issuer.runs.length === 2);
    await idle(f);
    assert.equal(statusOf(f.engine, 'b.example').errors, 1);
    f.engine.reconfigure([settings('a.example', account('two')), settings('b.example', account('two'))]);
    await until(() => f.issuer.count('b.example') === 2);
    await idle(f);
    assert.equal(statusOf(f.engine, 'b.example').state, 'complete');
    assert.equal(f.issuer.count('a.example'), 1);
  });

  test('calls a domain one of missing information while the CA demands what is not configured', async () => {
    await using f = fixture([settings('a.example')], { retryDelay: SECOND });
    const types = ['urn:latchkey:problem:agreement', 'urn:ietf:params:acme:error:dns'];
    f.issuer.script = () => {
      const type = types.shift();
      if (type !== undefined) throw new RenewalError({ type, detail: 'no' });
    };
    f.engine.start();
    const states: number[] = [];
    for (let runs = 1; runs <= 3; runs += 1) {
      await until(() => f.issuer.runs.length === runs);
      await idle(f);
      states.push(statusOf(f.engine, 'a.example').md.state);
      await f.clock.advance(2 * SECOND);
    }
    assert.deepEqual(states, [5, 1, 2]);
  });

  test('obeys Retry-After where that is longer', async () => {
    await using f = fixture([settings('a.example')]);
    f.issuer.script = () => {
      throw new RenewalError({ ...ownProblem('limited', 'too many'), retryAfter: 7 * DAY });
    };
    f.engine.start();
    await until(() => f.issuer.runs.length === 1);
    await idle(f);
    const at = f.issuer.runs[0]?.at ?? 0;
    assert.equal(statusOf(f.engine, 'a.example').nextRun, at + 7 * DAY);
  });

  test('goes to the next CA after 13 errors, and back to the first after as many more', async () => {
    const authorities = ['https://one.example/dir', 'local'];
    await using f = fixture([settings('a.example', { authorities })], {
      directoryUrl: (authority) => (authority === 'local' ? 'http://localhost/dir' : authority),
    });
    f.issuer.script = () => {
      throw new Error('down');
    };
    f.engine.start();
    for (let run = 1; run <= 27; run += 1) {
      await until(() => f.issuer.runs.length === run);
      await idle(f);
      const { nextRun = 0 } = statusOf(f.engine, 'a.example');
      await f.clock.advance(nextRun - f.clock.now());
    }
    const used = f.issuer.runs.slice(0, 27).map(({ authority }) => authority);
    assert.deepEqual(used, [
      ...Array<string>(13).fill('https://one.example/dir'),
      ...Array<string>(13).fill('http://localhost/dir'),
      'https://one.example/dir',
    ]);
  });

  test('renews on demand what is not due, telling each step, and joins those who ask meanwhile', async () => {
    await using f = fixture([settings('a.example', { renewMode: 'manual' })]);
    f.engine.start();
    await idle(f);
    await f.clock.advance(DAY);
    assert.equal(f.issuer.runs.length, 0);
    const steps: string[] = [];
    const outcomes = await Promise.all([
      f.engine.renewNow('a.example', { progress: ({ step }) => steps.push(step) }),
      f.engine.renewNow('a.example'),
    ]);
    assert.deepEqual(steps, ['order', 'activation']);
    assert.equal(outcomes[0].status, 'installed');
    assert.deepEqual(outcomes[0], outcomes[1]);
    assert.equal(f.issuer.runs.length, 1);
    await idle(f);
    assert.equal(statusOf(f.engine, 'a.example').nextRun, undefined);
  });

  test('renews again for who asks as soon as it is done, and shows at once what came of it', async () => {
    await using f = fixture([settings('a.example', { renewMode: 'manual' })]);
    f.engine.start();
    const shown = () => statusOf(f.engine, 'a.example').certificates.map(({ serial }) => serial);
    for (const runs of [1, 2, 3]) {
      const outcome = await f.engine.renewNow('a.example');
      assert.ok(outcome.status === 'installed');
      assert.deepEqual(shown(), outcome.serials);
      assert.equal(f.issuer.runs.length, runs);
    }
    await idle(f);
    assert.equal(f.issuer.runs.length, 3);
  });

  test('tells who asked why it did not work, and goes on trying', async () => {
    await using f = fixture([settings('a.example', { renewMode: 'manual' })]);
    f.issuer.script = () => {
      throw new RenewalError(ownProblem('test', 'not today'));
    };
    f.engine.start();
    const outcome = await f.engine.renewNow('a.example');
    assert.ok(outcome.status === 'failed');
    assert.equal(outcome.problem.detail, 'not today');
    await assert.rejects(f.engine.renewNow('z.example'), { code: 'domain-unknown' });
    await assert.rejects(f.engine.renewNow('a.example', { signal: AbortSignal.abort() }), {
      name: 'AbortError',
    });
  });

  test('lets no domain wait for one that hangs', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `d${n}.example`);
    await using f = fixture(names.map((name) => settings(name)));
    f.issuer.script = async ({ name }, { signal }) => {
      if (name !== 'd0.example') return;
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    };
    f.engine.start();
    await until(() => f.activations === 19);
    assert.equal(statusOf(f.engine, 'd0.example').running, true);
    assert.equal(statusOf(f.engine, 'd0.example').activity, 'Creating new order');
  });

  test('honours after a restart when the job was to go on, unless the configuration changed', async () => {
    const domain = settings('a.example');
    await using f = fixture([domain], { retryDelay: 10 * MINUTE });
    f.issuer.script = () => {
      throw new Error('down');
    };
    f.engine.start();
    await until(() => f.issuer.runs.length === 1);
    await idle(f);
    await f.engine[Symbol.asyncDispose]();
    f.issuer.script = () => {};

    f.restart([domain]).start();
    await idle(f);
    await f.clock.advance(9 * MINUTE);
    assert.equal(f.issuer.runs.length, 1);
    assert.equal(statusOf(f.engine, 'a.example').problem?.detail, 'down');
    await f.engine[Symbol.asyncDispose]();

    f.restart([{ ...domain, domains: ['a.example', 'b.example'] }]).start();
    await until(() => f.activations === 1);
  });

  test('does not believe in a next run years away, nor in a finished job without results', async () => {
    for (const garbage of [
      { errors: 1, 'next-run': formatDate(Date.parse('2037-01-01T00:00:00Z')) },
      { errors: 0, finished: true },
    ]) {
      const store = new MemoryStore();
      const job = { name: 'a.example', finished: false, notified: false, 'notified-renewed': false };
      await store.save(
        'staging',
        'a.example',
        'job.json',
        encodeJob({ ...job, log: { entries: [] }, ...garbage }),
      );
      await using f = fixture([settings('a.example')], {}, store);
      f.engine.start();
      await until(() => f.activations === 1);
    }
  });

  test('goes on with a renewal that was begun, though nothing is due', async () => {
    const store = new MemoryStore();
    await put(store, 'domains', 'a.example', { names: ['a.example'] });
    await put(store, 'staging', 'a.example', { names: ['a.example'] });
    await using f = fixture([settings('a.example')], {}, store);
    f.engine.start();
    await until(() => f.activations === 1);
    assert.equal(f.issuer.runs.length, 1);
  });

  test('purges garbage in staging and starts afresh', async () => {
    for (const aspect of ['job.json', 'order.json', 'privkey.p-256.pem', 'account.json', 'md.json']) {
      const store = new MemoryStore();
      await store.save('staging', 'a.example', aspect, '\u0000garbage');
      await using f = fixture([settings('a.example')], {}, store);
      // What a real issuer does: it reads what is there.
      f.issuer.script = async () => {
        if (aspect.startsWith('privkey')) await loadPrivateKey(store, 'staging', 'a.example', aspect);
        if (aspect === 'order.json') await readOrder(store, 'staging', 'a.example');
      };
      f.engine.start();
      await until(() => f.activations === 1);
    }
  });

  test('renews when names or keys change with a new configuration, and leaves others alone', async () => {
    const a = settings('a.example');
    const b = settings('b.example');
    await using f = fixture([a, b]);
    f.engine.start();
    await until(() => f.activations === 2);
    await idle(f);
    f.engine.reconfigure([{ ...a, domains: ['a.example', 'www.a.example'] }, b]);
    await until(() => f.activations === 3);
    await idle(f);
    f.engine.reconfigure([{ ...a, keys: [P256, P384] }, b, settings('c.example')]);
    await until(() => f.activations === 5);
    await idle(f);
    assert.deepEqual(
      ['a.example', 'b.example', 'c.example'].map((name) => f.issuer.count(name)),
      [3, 1, 1],
    );
    assert.deepEqual(
      statusOf(f.engine, 'a.example').certificates.map(({ key }) => key),
      ['P-256', 'SECP384R1'],
    );
    f.engine.reconfigure([a]);
    assert.deepEqual(
      f.engine.status().map(({ name }) => name),
      ['a.example'],
    );
  });

  test('aborts what runs when it is closed or the domain is gone, and lets nobody wait', async () => {
    const hang: Script = (_, { signal }) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    await using f = fixture([settings('a.example'), settings('b.example')]);
    f.issuer.script = hang;
    f.engine.start();
    await until(() => f.issuer.runs.length === 2);
    const waiting = f.engine.renewNow('a.example');
    f.engine.reconfigure([settings('b.example')]);
    await assert.rejects(waiting, { code: 'domain-unknown' });
    const other = f.engine.renewNow('b.example');
    const rejected = assert.rejects(other, { code: 'engine-closed' });
    await f.engine[Symbol.asyncDispose]();
    await rejected;
    assert.equal(f.activations, 0);
    assert.ok((await f.store.aspects('staging', 'b.example')).includes('md.json'));
    await assert.rejects(f.engine.renewNow('b.example'), { code: 'engine-closed' });
  });

  test('under MDActivateOn restart leaves the new set in staging, and says so', async () => {
    await using f = fixture([settings('a.example')], { activateOn: 'restart' });
    f.engine.start();
    await until(async () => (await readJob(f.store, 'staging', 'a.example'))?.finished === true);
    await idle(f);
    await f.clock.advance(DAY);
    assert.equal(f.activations, 0);
    assert.equal(f.issuer.runs.length, 1);
    assert.ok(statusOf(f.engine, 'a.example').staged);
    const job = await readJob(f.store, 'staging', 'a.example');
    assert.match(
      job?.log.entries.find(({ type }) => type === 'finished')?.detail ?? '',
      /^The certificate for the managed domain has been renewed successfully and can be used \(valid since .* GMT\)\. A graceful server restart now is recommended\.$/,
    );
    assert.ok(
      f.log.some((line) =>
        line.includes(
          'AH10059: The Managed Domain a.example has been setup and changes will be activated on next (graceful) server restart.',
        ),
      ),
    );
  });

  test('waits for a certificate that is valid later only', async () => {
    await using f = fixture([settings('a.example')]);
    f.issuer.ahead = HOUR;
    f.engine.start();
    await until(() => f.issuer.runs.length === 1);
    await idle(f);
    const { nextRun = 0, staged } = statusOf(f.engine, 'a.example');
    assert.equal(staged?.validFrom, nextRun);
    assert.equal(f.activations, 0);
    await f.clock.advance(nextRun - f.clock.now());
    await until(() => f.activations === 1);
  });

  test('takes a failed activation as an error, and tries that again without a new order', async () => {
    let attempts = 0;
    const store = new MemoryStore();
    await using f = fixture(
      [settings('a.example')],
      {
        activate: async (name) => {
          attempts += 1;
          if (attempts === 1) throw new Error('disk full');
          await activateStaged(store, name);
          return { missing: [7] };
        },
      },
      store,
    );
    f.engine.start();
    await until(() => attempts === 1);
    await idle(f);
    assert.equal(statusOf(f.engine, 'a.example').problem?.detail, 'disk full');
    await f.clock.advance(MINUTE);
    await until(() => attempts === 2);
    await idle(f);
    assert.match(statusOf(f.engine, 'a.example').log[0]?.detail ?? '', /not shown the new certificate: 7/);
  });

  test('does not order in a loop where activation does nothing', async () => {
    await using f = fixture([settings('a.example')], { activate: async () => ({}) });
    f.engine.start();
    await until(() => f.issuer.runs.length === 1);
    await idle(f);
    await f.clock.advance(59 * MINUTE);
    assert.equal(f.issuer.runs.length, 1);
  });

  test('outlives a store that fails for a while', async () => {
    const store = new MemoryStore();
    const aspects = store.aspects.bind(store);
    store.aspects = () => Promise.reject(new Error('the supervisor is gone'));
    await using f = fixture([settings('a.example')], {}, store);
    f.engine.start();
    await until(() => f.log.some((line) => line.includes('the supervisor is gone')));
    await assert.rejects(f.engine.renewNow('a.example'), /the supervisor is gone/);
    store.aspects = aspects;
    await f.clock.advance(MINUTE);
    await until(() => f.activations === 1);
  });

  test('looks ever more rarely at a store that is gone, and at once after a reload', async () => {
    const store = new MemoryStore();
    const aspects = store.aspects.bind(store);
    store.aspects = () => Promise.reject(new Error('the store is gone'));
    const domains = [settings('a.example')];
    await using f = fixture(domains, {}, store);
    const complaints = () => f.log.filter((line) => line.includes('the store is gone')).length;
    f.engine.start();
    await until(() => complaints() === 1);
    for (let n = 0; n < 240; n += 1) await f.clock.advance(30 * SECOND);
    // After 30 s, then 1, 2, 4, 8, 16 and 32 minutes.
    await until(() => complaints() === 8);

    store.aspects = aspects;
    f.engine.reconfigure(domains);
    await f.clock.advance(0);
    await until(() => f.activations === 1);
  });

  test('says that it can renew no more, so that it is begun anew', async () => {
    const failures: unknown[] = [];
    const fault = new Error('a fault of the program');
    const f = fixture([settings('a.example')], { onFailure: (error) => failures.push(error) });
    f.clock.sleep = () => Promise.reject(fault);
    f.engine.start();
    await until(() => failures.length > 0);
    assert.deepEqual(failures, [fault]);
    assert.ok(f.log.some((line) => line.includes('[md:crit]') && line.includes('a fault of the program')));
    await assert.rejects(f.engine[Symbol.asyncDispose](), fault);
  });

  test('says so also where the store is still being read', async () => {
    const failures: unknown[] = [];
    const fault = new Error('a fault of the program');
    const store = new MemoryStore();
    const { promise: reading, resolve: read } = Promise.withResolvers<void>();
    const list = store.list.bind(store);
    store.list = async (group) => {
      await reading;
      return list(group);
    };
    const f = fixture([settings('a.example')], { onFailure: (error) => failures.push(error) }, store);
    f.clock.sleep = () => Promise.reject(fault);
    f.engine.start();
    await until(() => failures.length > 0);
    assert.deepEqual(failures, [fault]);
    read();
    await assert.rejects(f.engine[Symbol.asyncDispose](), fault);
  });

  test('is not kept from renewing by a wall clock that jumps', async () => {
    await using f = fixture([settings('a.example')]);
    f.engine.start();
    await until(() => f.activations === 1);
    await idle(f);
    f.clock.jump(f.clock.now() + 80 * DAY);
    await f.clock.advance(MINUTE);
    await until(() => f.activations === 2);
  });

  test('removes what a crash left in challenges, but not what an order still needs', async () => {
    const store = new MemoryStore();
    await store.save('challenges', 'old.example', 'acme-http-01.txt', 'x');
    await store.save('challenges', 'a.example', 'acme-http-01.txt', 'x');
    await store.save(
      'staging',
      'a.example',
      'order.json',
      JSON.stringify({ url: 'https://ca.example/1', 'challenge-setups': ['http-01:a.example'] }),
    );
    await using f = fixture([settings('a.example')], {}, store);
    f.engine.start();
    await idle(f);
    assert.deepEqual(await store.list('challenges'), ['a.example']);
  });

  test('watches an unused domain only when told to', async () => {
    const unused = { used: false } as const;
    await using f = fixture([
      settings('a.example', unused),
      settings('b.example', { ...unused, renewMode: 'always' }),
    ]);
    f.engine.start();
    await until(() => f.activations === 1);
    await idle(f);
    assert.deepEqual(
      f.issuer.runs.map(({ name }) => name),
      ['b.example'],
    );
  });

  test('publishes each step of a renewal', async () => {
    const seen: EventName[] = [];
    const names = [
      'latchkey:renewal:started',
      'latchkey:renewal:progress',
      'latchkey:renewal:failed',
      'latchkey:renewal:obtained',
      'latchkey:certificate:installed',
    ] as const;
    using stack = new DisposableStack();
    for (const name of names) {
      stack.use(subscribe(name, ({ domain }) => void (domain === 'events.example' && seen.push(name))));
    }
    await using f = fixture([settings('events.example')]);
    f.issuer.script = () => {
      f.issuer.script = () => {};
      throw new Error('once');
    };
    f.engine.start();
    await until(() => seen.includes('latchkey:renewal:failed'));
    await idle(f);
    await f.clock.advance(MINUTE);
    await until(() => f.activations === 1);
    await idle(f);
    assert.deepEqual(seen, [
      'latchkey:renewal:started',
      'latchkey:renewal:progress',
      'latchkey:renewal:failed',
      'latchkey:renewal:started',
      'latchkey:renewal:progress',
      'latchkey:renewal:obtained',
      'latchkey:certificate:installed',
    ]);
  });

  test('keeps a thousand domains', async () => {
    const store = new MemoryStore();
    const names = Array.from({ length: 1000 }, (_, n) => `d${n}.example`);
    const start = Date.parse('2026-11-22T06:00:00Z');
    const shared = await put(store, 'domains', 'd0.example', {
      names: ['*.example'],
      notBefore: start - 59 * DAY,
    });
    const key = await store.load('domains', 'd0.example', 'privkey.p-256.pem');
    assert.ok(key);
    for (const name of names) {
      await store.save('domains', name, 'pubcert.p-256.pem', shared);
      await store.save('domains', name, 'privkey.p-256.pem', key);
    }
    await using f = fixture(
      names.map((name) => settings(name)),
      { random: Math.random, checkInterval: 30 * DAY },
      store,
    );
    const fresh = await makePair({ names: ['*.example'], notBefore: start });
    f.issuer.obtain = async ({ name }) => {
      f.issuer.runs.push({ name, at: f.clock.now(), authority: '' });
      await savePrivateKey(store, 'staging', name, 'privkey.p-256.pem', fresh.key);
      await store.save('staging', name, 'pubcert.p-256.pem', fresh.pem);
    };
    f.engine.start();
    await idle(f);
    assert.equal(f.issuer.runs.length, 0);
    await f.clock.advance(3 * DAY);
    await until(async () => {
      await f.clock.advance(0);
      return f.activations === 1000;
    });
    const spread = f.issuer.runs.map(({ at }) => at);
    assert.ok(Math.max(...spread) - Math.min(...spread) > DAY / 2);
    assert.equal(new Set(f.issuer.runs.map(({ name }) => name)).size, 1000);
  });
});
