import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { suite, test } from 'node:test';
import { TestClock } from '../base/clock.testing.ts';
import { subscribe } from '../base/events.ts';
import { createLoggers } from '../base/log.ts';
import { type Issued, ocspSigning, OcspTestCa } from '../pki/ocsp.testing.ts';
import { readJob } from '../store/documents.ts';
import { MemoryStore } from '../store/memory.ts';
import { StoreError } from '../store/store.ts';
import { defaultPace, OcspEngine, type OcspEngineOptions, type RevokedCertificate } from './engine.ts';
import { HostileResponder, reply, type Reply } from './hostile-responder.testing.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.parse('2026-11-22T06:00:00Z');
const ca = await OcspTestCa.create(START);

/** An engine on a clock that stands still, with a responder that is honest unless told. */
async function setUp(options: Partial<OcspEngineOptions> = {}) {
  const clock = new TestClock(START);
  const responder = await HostileResponder.start(ca, clock);
  const lines: string[] = [];
  const changes: string[] = [];
  const revoked: RevokedCertificate[] = [];
  const store = options.store ?? new MemoryStore();
  const engine = new OcspEngine({
    store,
    clock,
    loggers: createLoggers(
      (line) => lines.push(line),
      () => ({ all: 'info', modules: {} }),
    ),
    random: () => 0,
    onChange: (owner) => changes.push(owner),
    onRevoked: (certificate) => revoked.push(certificate),
    ...options,
  });
  const dispose = async () => {
    await engine[Symbol.asyncDispose]();
    await responder[Symbol.asyncDispose]();
  };
  return { clock, responder, lines, changes, revoked, store, engine, [Symbol.asyncDispose]: dispose };
}

type World = Awaited<ReturnType<typeof setUp>>;

/** Lets everything else run until `done` holds; the clock stands still. */
async function until(done: () => boolean): Promise<void> {
  for (let turns = 0; !done(); turns += 1) {
    if (turns > 30_000) throw new Error(`this never came to be: ${done.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Moves time in steps until `done` holds: each step gives the network its turn. */
async function pass(world: World, step: number, done: () => boolean): Promise<void> {
  for (let steps = 0; !done(); steps += 1) {
    if (steps > 1000) throw new Error(`this never came to be: ${done.toString()}`);
    await world.clock.advance(step);
    await until(() => idle(world));
  }
}

/** Nobody is being asked. */
const idle = ({ engine }: World) =>
  engine.status().every(({ nextRun, responder }) => nextRun !== undefined || responder === undefined);

async function answered(world: World, requests = 1): Promise<void> {
  await until(() => world.responder.seen.length >= requests && idle(world));
}

const only = ({ engine }: World) => {
  const [status] = engine.status();
  assert.ok(status);
  return status;
};

/** With a time-out that no test reaches by moving the clock. */
const issue = async (world: World, more: { mustStaple?: boolean; key?: KeyObject } = {}) => ({
  ...(await ca.issue({ ocsp: world.responder.url, ...more })),
  timeout: 365 * DAY,
});

suite('stapling', () => {
  test('asks nobody before it is started, and then in the background', async () => {
    await using world = await setUp();
    const { engine, responder, changes } = world;
    const issued = await issue(world);
    const { chainPem } = issued;
    assert.deepEqual(await engine.watch('a', [issued]), [undefined]);
    await world.clock.advance(HOUR);
    assert.equal(responder.seen.length, 0);
    engine.start();
    await answered(world);
    assert.ok(engine.staple(chainPem));
    assert.deepEqual(changes, ['a']);
    const status = only(world);
    assert.equal(status.status, 'good');
    assert.equal(status.domain, 'other');
    assert.equal(status.stapled, true);
    assert.equal(status.valid?.until, START + HOUR + 72 * HOUR);
    assert.match(status.activity, /next request/);
  });

  test('asks by GET, in a form that caches understand', async () => {
    await using world = await setUp();
    await world.engine.watch('a', [await issue(world)]);
    world.engine.start();
    await answered(world);
    const [seen] = world.responder.seen;
    assert.equal(seen?.method, 'GET');
    assert.match(seen?.path ?? '', /^\/ocsp\/[\w%]+$/);
    assert.ok((seen?.path.length ?? 0) < 262);
  });

  test('asks a responder that does not know GET by POST, and goes on so', async () => {
    await using world = await setUp();
    const { responder, engine } = world;
    responder.next(reply.status(405));
    await engine.watch('a', [await issue(world)]);
    engine.start();
    await answered(world, 2);
    await engine.watch('b', [await issue(world)]);
    await pass(world, 100, () => responder.seen.length === 3);
    assert.deepEqual(
      responder.seen.map(({ method }) => method),
      ['GET', 'POST', 'POST'],
    );
    assert.equal(engine.status().filter(({ stapled }) => stapled).length, 2);
  });

  test('fetches anew in the last third, before the old response is over', async () => {
    await using world = await setUp();
    const { engine, responder } = world;
    const issued = await issue(world);
    const { chainPem } = issued;
    await engine.watch('a', [issued]);
    engine.start();
    await answered(world);
    const first = engine.staple(chainPem);
    const { nextRun = 0 } = only(world);
    // In the first half of the last 33 % of 72 hours.
    assert.ok(
      nextRun >= START + 48 * HOUR && nextRun <= START + 60.2 * HOUR,
      new Date(nextRun).toISOString(),
    );
    await world.clock.advance(48 * HOUR);
    assert.equal(responder.seen.length, 1);
    await pass(world, HOUR, () => responder.seen.length === 2);
    await answered(world, 2);
    assert.ok(world.clock.now() < START + 72 * HOUR, new Date(world.clock.now()).toISOString());
    assert.notDeepEqual(engine.staple(chainPem), first);
  });

  test('fetches anew no sooner than after half of a response’s life, whatever length the window has', async () => {
    await using world = await setUp({ renewWindow: { ms: 7 * DAY } });
    const { engine } = world;
    await engine.watch('a', [await issue(world)]);
    engine.start();
    await answered(world);
    const next = () => only(world).nextRun ?? 0;
    assert.ok(next() >= START + 36 * HOUR && next() <= START + 54 * HOUR, new Date(next()).toISOString());
    engine.reconfigure({ ...defaultPace, renewWindow: { ms: DAY } });
    assert.ok(next() >= START + 48 * HOUR && next() <= START + 60 * HOUR, new Date(next()).toISOString());
  });

  test('asks for what can be kept longer no sooner than that', async () => {
    await using world = await setUp();
    const { engine, responder } = world;
    responder.next(responder.saying({}, { 'cache-control': 'public, max-age=223200' }));
    await engine.watch('a', [await issue(world)]);
    engine.start();
    await answered(world);
    const { nextRun = 0 } = only(world);
    assert.ok(nextRun >= START + 62 * HOUR, new Date(nextRun).toISOString());
    assert.ok(nextRun < START + 72 * HOUR);
  });

  test('does not ask in a loop for what is old already', async () => {
    await using world = await setUp();
    const { engine, responder } = world;
    responder.honest = { from: -70 * HOUR };
    await engine.watch('a', [await issue(world)]);
    engine.start();
    await answered(world);
    assert.equal(only(world).stapled, true);
    assert.ok((only(world).nextRun ?? 0) >= START + 30 * MINUTE);
  });

  test('says once of a certificate without responder that it is not stapled', async () => {
    await using world = await setUp();
    const { chainPem, certificate } = await ca.issue();
    await world.engine.watch('a', [{ chainPem }]);
    await world.engine.watch('a', [{ chainPem }]);
    const text = `certificate with serial ${certificate.serial} has no OCSP responder URL`;
    assert.equal(world.lines.filter((line) => line.includes(text) && line.includes('[md:info]')).length, 1);
    assert.match(only(world).activity, new RegExp(text));
    const forced = { chainPem, responderUrl: world.responder.url, timeout: 365 * DAY };
    await world.engine.watch('a', [forced]);
    world.engine.start();
    await answered(world);
    assert.equal(only(world).stapled, true);
  });

  test('names the remedy where the issuer is not in the chain', async () => {
    await using world = await setUp();
    const { certificate } = await issue(world);
    await world.engine.watch('a', [{ chainPem: certificate.pem }]);
    assert.match(only(world).impossible, /add it to the certificate's file/);
  });

  test('an owner that shows other certificates is asked about for those', async () => {
    await using world = await setUp();
    const { engine } = world;
    const [one, two] = [await issue(world), await issue(world)];
    await engine.watch('a', [one]);
    await engine.watch('b', [one]);
    await engine.watch('a', [two]);
    const all = engine.status();
    assert.equal(all.length, 2);
    const [owner = ''] = all.map(({ domain }) => domain);
    assert.deepEqual(engine.status(new Set([owner])), all);
    assert.deepEqual(engine.status(new Set(['nobody.test'])), []);
    await engine.watch('md:a.test', [{ ...one, domain: 'a.test' }]);
    await engine.watch('b', [one]);
    assert.deepEqual(
      engine.status().map(({ domain }) => domain),
      ['a.test', 'other'],
    );
    engine.forget('b');
    engine.forget('md:a.test');
    assert.deepEqual(
      engine.status().map(({ serial }) => serial),
      [two.certificate.serial],
    );
  });
});

suite('responses are kept', () => {
  test('so that a start in the middle of an outage staples what is still good', async () => {
    const store = new MemoryStore();
    let chainPem = '';
    {
      await using world = await setUp({ store });
      const issued = await issue(world);
      ({ chainPem } = issued);
      await world.engine.watch('md:a.test', [{ ...issued, domain: 'a.test' }]);
      world.engine.start();
      await answered(world);
      const { id } = only(world);
      const document = JSON.parse(
        (await store.load('ocsp', 'a.test', `ocsp-${id}.json`))?.toString() ?? '',
      ) as Record<string, unknown>;
      assert.deepEqual(Object.keys(document), ['response', 'status', 'valid']);
      assert.deepEqual(document['valid'], {
        from: 'Sun, 22 Nov 2026 06:00:00 GMT',
        until: 'Wed, 25 Nov 2026 06:00:00 GMT',
      });
    }
    await using world = await setUp({ store });
    const [staple] = await world.engine.watch('md:a.test', [{ chainPem, domain: 'a.test' }]);
    assert.ok(staple);
    world.engine.start();
    await world.clock.advance(MINUTE);
    assert.equal(world.responder.seen.length, 0);
    // The responder of the first world is gone: what is there is stapled to its end, and no longer.
    await pass(world, HOUR, () => world.changes.length > 0);
    assert.ok(Math.abs(world.clock.now() - START - 72 * HOUR) < HOUR);
    assert.equal(world.engine.staple(chainPem), undefined);
  });

  test('and one for another certificate, or a damaged one, is not believed', async () => {
    await using world = await setUp();
    const { store, engine } = world;
    const [one, two] = [await issue(world), await issue(world)];
    await engine.watch('a', [one]);
    engine.start();
    await answered(world);
    const file = (issued: Issued) =>
      `ocsp-${issued.certificate.x509.fingerprint.replaceAll(':', '').toLowerCase()}.json`;
    const kept = await store.load('ocsp', 'other', file(one));
    await store.save('ocsp', 'other', file(two), kept ?? '');
    const [staple] = await engine.watch('b', [two]);
    assert.equal(staple, undefined);
    assert.match(world.lines.join('\n'), /kept OCSP response is not used.*another certificate/);
    const three = await issue(world);
    await store.save('ocsp', 'other', file(three), '{"response":');
    assert.deepEqual(await engine.watch('c', [three]), [undefined]);
  });

  test('and one whose file says a later end than the responder counts to its real end', async () => {
    await using world = await setUp();
    const { store, engine, clock } = world;
    const issued = await issue(world);
    await engine.watch('a', [issued]);
    engine.start();
    await answered(world);
    const file = `ocsp-${only(world).id}.json`;
    const kept = (await store.load('ocsp', 'other', file))?.toString() ?? '';
    await store.save('ocsp', 'other', file, kept.replace('Wed, 25 Nov', 'Fri, 27 Nov'));
    await using after = await setUp({ store, clock });
    const [staple] = await after.engine.watch('a', [issued]);
    assert.ok(staple);
    clock.jump(START + 73 * HOUR);
    assert.equal(after.engine.staple(issued.chainPem), undefined);
  });

  test('until they are old and over', async () => {
    const store = new MemoryStore();
    await store.save('ocsp', 'other', 'ocsp-0a.json', '{}');
    await store.save('ocsp', 'other', 'job.json', '{}');
    const written = (await store.modified('ocsp', 'other', 'ocsp-0a.json')) ?? 0;
    for (const [days, left] of [
      [6, ['job.json', 'ocsp-0a.json']],
      [8, ['job.json']],
    ] as const) {
      await using world = await setUp({ store });
      world.clock.jump(written + days * DAY);
      world.engine.start();
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual(await store.aspects('ocsp', 'other'), left);
    }
  });

  test('or not, where the store is full: they are stapled all the same', async () => {
    const store = new MemoryStore();
    store.save = () => Promise.reject(new StoreError('full', 'The disk is full'));
    await using world = await setUp({ store });
    const issued = await issue(world);
    const { chainPem } = issued;
    await world.engine.watch('a', [issued]);
    world.engine.start();
    await answered(world);
    assert.ok(world.engine.staple(chainPem));
    assert.match(world.lines.join('\n'), /could not be saved: The disk is full/);
  });
});

suite('whatever a responder does', () => {
  const impostor = OcspTestCa.create(START);
  /** What it does, and what is said of it. */
  const faults: Record<string, readonly [RegExp, (world: World) => Promise<Reply> | Reply]> = {
    'answering 500': [/answers with status 500$/m, () => reply.status(500)],
    'answering 503 without a word': [/answers with status 503$/m, () => reply.status(503)],
    'answering HTML': [/This is not an OCSP response/, () => reply.html],
    'answering five megabytes': [/ocsp answers with more than 65536 bytes/, () => reply.huge],
    'resetting connections': [/can't be reached/, () => reply.reset],
    'redirecting in circles': [
      /redirects again and again$/m,
      ({ responder }) => reply.redirect(responder.url),
    ],
    'redirecting to a file': [
      /redirects to file:\/\/\/etc\/passwd$/m,
      () => reply.redirect('file:///etc/passwd'),
    ],
    'answering tryLater': [/The responder answers tryLater$/m, () => reply.refusal('tryLater')],
    'answering unauthorized': [/answers unauthorized$/m, () => reply.refusal('unauthorized')],
    'answering internalError': [/answers internalError$/m, () => reply.refusal('internalError')],
    'signing as another CA': [
      /can't be trusted: .*signature/,
      async ({ responder }) => responder.saying({ signer: await impostor, byName: true }),
    ],
    'speaking of another serial': [
      /is about another certificate$/m,
      ({ responder }) => responder.saying({ leaf: Buffer.from('4c01', 'hex') }),
    ],
    'being late': [/was valid until/, ({ responder }) => responder.saying({ from: -80 * HOUR })],
    'being early': [
      /is valid from .* on/,
      // By more than the clock goes on while an answer is under way.
      ({ responder }) => responder.saying({ from: 3 * HOUR }),
    ],
    'delegating without the usage': [
      /is not for OCSP signing$/m,
      async ({ responder }) => responder.saying({ signer: await ca.issue() }),
    ],
    'delegating to one that has expired': [
      /certificate has expired$/m,
      async ({ responder }) =>
        responder.saying({ signer: await ca.issue({ usages: [ocspSigning], notAfter: START - DAY }) }),
    ],
    'not knowing the certificate': [
      /does not know the certificate with serial/,
      ({ responder }) => responder.saying({ status: 'unknown' }),
    ],
  };
  for (const [what, [said, fault]] of Object.entries(faults)) {
    test(`${what}: what is good goes on being stapled, and it is asked again`, async () => {
      await using world = await setUp();
      const { engine, responder } = world;
      const issued = await issue(world);
      const { chainPem } = issued;
      await engine.watch('a', [issued]);
      engine.start();
      await answered(world);
      const good = engine.staple(chainPem);
      responder.always = await fault(world);
      await pass(world, HOUR, () => only(world).errors >= 2);
      assert.deepEqual(engine.staple(chainPem), good);
      const { problem, nextRun = 0 } = only(world);
      assert.ok(problem?.detail);
      assert.match(world.lines.filter((line) => line.includes('[md:warn]')).join('\n'), said);
      assert.ok(nextRun > world.clock.now() && nextRun < world.clock.now() + 2 * HOUR);
      responder.always = undefined;
      await pass(world, 10 * MINUTE, () => only(world).errors === 0);
      assert.notDeepEqual(engine.staple(chainPem), good);
      assert.equal(only(world).problem, undefined);
    });
  }

  for (const [what, fault] of [
    ['saying nothing', reply.silence],
    ['beginning and never ending', reply.drip],
  ] as const) {
    test(`${what}: it is left after the time-out`, async () => {
      await using world = await setUp();
      world.responder.always = fault;
      await world.engine.watch('a', [{ ...(await issue(world)), timeout: 3 * SECOND }]);
      world.engine.start();
      await until(() => world.responder.seen.length === 1);
      await world.clock.advance(2 * SECOND);
      assert.equal(only(world).errors, 0);
      await world.clock.advance(SECOND);
      await until(() => only(world).errors === 1);
      assert.equal(only(world).problem?.type, 'responder-timeout');
    });
  }

  test('being away: it is tried ever more rarely, by one certificate at a time', async () => {
    await using world = await setUp();
    const { engine, responder, clock } = world;
    responder.always = reply.status(500);
    for (let index = 0; index < 20; index += 1) await engine.watch(`s${index}`, [await issue(world)]);
    engine.start();
    await pass(world, 10 * SECOND, () => clock.now() >= START + 2 * HOUR);
    // A few at once before anything is known; then after 30 s, 1, 2, 4, 8 and each 15 minutes.
    assert.ok(responder.seen.length <= 18 && responder.seen.length >= 10, String(responder.seen.length));
    responder.always = undefined;
    await pass(world, SECOND, () => engine.status().every(({ stapled }) => stapled));
  });

  for (const [what, illness] of [
    ['answering HTML', reply.html],
    ['answering tryLater', reply.refusal('tryLater')],
  ] as const) {
    test(`being ill (${what}): its other certificates wait, too`, async () => {
      await using world = await setUp();
      const { engine, responder } = world;
      responder.next(illness);
      await engine.watch('a', [await issue(world)]);
      engine.start();
      await until(() => responder.seen.length === 1 && world.lines.length > 0);
      await engine.watch('b', [await issue(world)]);
      await pass(world, SECOND, () => responder.seen.length > 1);
      assert.ok(world.clock.now() >= START + 30 * SECOND);
      await pass(world, SECOND, () => engine.status().every(({ stapled }) => stapled));
    });
  }

  test('refusing one certificate: the others are asked about all the same', async () => {
    await using world = await setUp();
    const { engine, responder } = world;
    responder.next(reply.refusal('unauthorized'));
    await engine.watch('a', [await issue(world)]);
    engine.start();
    await until(() => responder.seen.length === 1 && world.lines.length > 0);
    await engine.watch('b', [await issue(world)]);
    await pass(world, 100, () => responder.seen.length === 2);
    assert.ok(world.clock.now() < START + 30 * SECOND);
  });

  for (const [status, retryAfter] of [
    [429, '7200'],
    [503, new Date(START + 2 * HOUR).toUTCString()],
  ] as const)
    test(`wanting to be left alone (${status}): it is, for that long`, async () => {
      await using world = await setUp();
      const { engine, responder } = world;
      responder.next(reply.status(status, { 'retry-after': retryAfter }));
      await engine.watch('a', [await issue(world)]);
      await engine.watch('b', [await issue(world)]);
      engine.start();
      await until(() => responder.seen.length === 1 && world.lines.length > 0);
      await pass(world, 10 * MINUTE, () => world.clock.now() >= START + 2 * HOUR - 10 * MINUTE);
      assert.equal(responder.seen.length, 1);
      await pass(world, 10 * MINUTE, () => engine.status().every(({ stapled }) => stapled));
    });

  test('being away for good: what is over is no longer stapled, and must-staple is a loud matter', async () => {
    await using world = await setUp();
    const { engine, responder } = world;
    const issued = await issue(world, { mustStaple: true });
    const { chainPem } = issued;
    await engine.watch('a', [issued]);
    assert.match(only(world).warning, /strict clients will fail/);
    engine.start();
    await answered(world);
    assert.equal(only(world).warning, '');
    responder.always = reply.reset;
    world.lines.length = 0;
    await pass(world, HOUR, () => engine.staple(chainPem) === undefined);
    await until(() => world.changes.length === 2);
    assert.match(only(world).warning, /strict clients will fail/);
    assert.match(world.lines.join('\n'), /\[md:error\].*strict clients will fail/);
  });
});

test('a response is stapled no longer than the certificate of its responder lives', async () => {
  await using world = await setUp();
  const { engine, responder, clock } = world;
  responder.honest = { signer: await ca.issue({ usages: [ocspSigning], notAfter: START + 6 * HOUR }) };
  const issued = await issue(world);
  await engine.watch('a', [issued]);
  engine.start();
  await answered(world);
  assert.equal(only(world).valid?.until, START + 6 * HOUR);
  responder.always = reply.reset;
  await pass(world, HOUR, () => clock.now() >= START + 6 * HOUR);
  assert.equal(engine.staple(issued.chainPem), undefined);
});

test('a clock that is put forward ends what is over, and has it asked anew', async () => {
  await using world = await setUp();
  const { engine, responder, clock } = world;
  const issued = await issue(world);
  await engine.watch('a', [issued]);
  engine.start();
  await answered(world);
  const first = engine.staple(issued.chainPem);
  clock.jump(START + 4 * DAY);
  assert.equal(engine.staple(issued.chainPem), undefined);
  await pass(world, MINUTE, () => responder.seen.length === 2);
  await answered(world, 2);
  assert.ok(engine.staple(issued.chainPem));
  assert.notDeepEqual(engine.staple(issued.chainPem), first);
});

test('must-staple is a loud matter once the responder has failed, and not before it was asked', async () => {
  await using world = await setUp();
  const { engine, responder, lines } = world;
  const loud = () => lines.filter((line) => /\[md:error\].*strict clients will fail/.test(line)).length;
  responder.next(reply.refusal('unauthorized'));
  const issued = await issue(world, { mustStaple: true });
  await engine.watch('a', [issued]);
  assert.equal(engine.awaits(issued.chainPem), true);
  assert.equal(loud(), 0);
  engine.start();
  await until(() => loud() === 1);
  assert.equal(engine.awaits(issued.chainPem), false);
  await pass(world, SECOND, () => only(world).stapled);
  const { chainPem } = await ca.issue({ mustStaple: true });
  await engine.watch('b', [{ chainPem }]);
  assert.equal(loud(), 2, 'there is nobody to ask');
});

suite('a responder that has no use for a request without nonce', () => {
  for (const [what, without] of [
    ['and calls it malformed', (): Reply => reply.refusal('malformedRequest')],
    [
      'and answers it out of an old cache',
      ({ responder }: World): Reply => responder.saying({ from: -80 * HOUR }),
    ],
  ] as const) {
    test(`${what} is sent one with the next, and from then on`, async () => {
      await using world = await setUp();
      const { engine, responder } = world;
      responder.always = (response, seen) =>
        (seen.nonce ? responder.saying({ nonce: seen.nonce }) : without(world))(response, seen);
      await engine.watch('a', [await issue(world)]);
      engine.start();
      await answered(world);
      assert.equal(only(world).stapled, false);
      await pass(world, SECOND, () => only(world).stapled);
      await engine.watch('b', [await issue(world)]);
      await pass(world, SECOND, () => engine.status().every(({ stapled }) => stapled));
      assert.deepEqual(
        responder.seen.map(({ method, nonce }) => [method, nonce?.length]),
        [
          ['GET', undefined],
          ['POST', 32],
          ['POST', 32],
        ],
      );
    });
  }

  test('and does not repeat it either is asked without again', async () => {
    await using world = await setUp();
    const { engine, responder } = world;
    responder.always = responder.saying({ from: -80 * HOUR });
    await engine.watch('a', [await issue(world)]);
    engine.start();
    await pass(world, SECOND, () => responder.seen.length === 3);
    assert.deepEqual(
      responder.seen.map(({ nonce }) => nonce !== undefined),
      [false, true, false],
    );
  });
});

test('a revoked certificate is not stapled as good, is told, and is so after a restart', async () => {
  const store = new MemoryStore();
  const certificate = { domain: 'a.test', chainPem: '', timeout: 365 * DAY };
  let ended = START;
  {
    await using world = await setUp({ store });
    const issued = await issue(world);
    certificate.chainPem = issued.chainPem;
    await world.engine.watch('md:a.test', [certificate]);
    world.engine.start();
    await answered(world);
    assert.ok(world.engine.staple(issued.chainPem));
    world.responder.honest = { status: 'revoked' };
    await pass(world, HOUR, () => world.revoked.length > 0);
    const { serial, sha256 } = issued.certificate;
    assert.deepEqual(world.revoked[0], { domain: 'a.test', serial, sha256 });
    assert.equal(world.engine.staple(issued.chainPem), undefined);
    assert.equal(world.changes.length, 2);
    assert.equal(only(world).status, 'revoked');
    assert.match(only(world).warning, /revoked/);
    ended = world.clock.now();
  }
  await using world = await setUp({ store });
  world.clock.jump(ended);
  assert.deepEqual(await world.engine.watch('md:a.test', [certificate]), [undefined]);
  world.engine.start();
  await pass(world, MINUTE, () => world.revoked.length > 1);
  assert.equal(world.responder.seen.length, 0);
});

test('what became of requests is kept as mod_md keeps it, after what it had kept', async () => {
  const store = new MemoryStore();
  const earlier = { when: 'Sat, 21 Nov 2026 06:00:00 GMT', type: 'message-ocsp-renewed' };
  await store.save('ocsp', 'a.test', 'job.json', JSON.stringify({ log: { entries: [earlier] } }));
  {
    await using world = await setUp({ store });
    world.responder.next(reply.refusal('unauthorized'));
    await world.engine.watch('a', [{ ...(await issue(world)), domain: 'a.test' }]);
    world.engine.start();
    await answered(world);
    await until(() => world.lines.length > 0);
    assert.equal((await world.engine.job('a.test'))?.errors, 1);
    await pass(world, SECOND, () => only(world).stapled);
  }
  const job = await readJob(store, 'ocsp', 'a.test');
  assert.equal(job?.name, 'a.test');
  assert.equal(job.finished, true);
  assert.equal(job.errors, 0);
  assert.equal(job['next-run'], undefined);
  assert.match(
    job.last?.detail ?? '',
    /^certificate status is GOOD, status valid Sun, 22 Nov 2026 .* GMT - /,
  );
  assert.match(job.last?.activity ?? '', /^status of certid [\da-f]{40}, reading response$/);
  const run = ['finished', 'progress', 'progress', 'starting'];
  const failed = ['ocsp-error', 'finished', 'progress', 'starting'];
  assert.deepEqual(
    job.log.entries.map(({ type }) => type),
    [...run, ...failed, 'message-ocsp-renewed'],
  );
  assert.match(job.log.entries[4]?.detail ?? '', /^OCSP status update failed \(1\. time\)/);
  assert.match(job.log.entries[6]?.detail ?? '', /^status of certid [\da-f]{40}, contacting http:/);
});

test('each step is an event', async () => {
  await using world = await setUp();
  const seen: string[] = [];
  using _renewed = subscribe('latchkey:ocsp:renewed', ({ domain, status }) =>
    seen.push(`${domain} ${status}`),
  );
  using _errored = subscribe('latchkey:ocsp:errored', ({ domain, problem, errors }) =>
    seen.push(`${domain} ${problem.type} ${errors}`),
  );
  world.responder.next(reply.refusal('unauthorized'));
  await world.engine.watch('a', [{ ...(await issue(world)), domain: 'a.test' }]);
  world.engine.start();
  await pass(world, 10 * SECOND, () => seen.length === 2);
  assert.deepEqual(seen, ['a.test ocsp-refused 1', 'a.test good']);
});

test('a clock that is put back neither stops stapling nor starts a storm', async () => {
  await using world = await setUp();
  const { engine, responder, clock } = world;
  const issued = await issue(world);
  const { chainPem } = issued;
  clock.jump(START + 2 * DAY);
  await engine.watch('a', [issued]);
  engine.start();
  await answered(world);
  clock.jump(START);
  // It wakes by itself within a minute of real time, which a clock that stands still can't show.
  engine.reconfigure(defaultPace);
  await pass(world, MINUTE, () => responder.seen.length > 1);
  await answered(world, 2);
  assert.ok(engine.staple(chainPem));
  await pass(world, MINUTE, () => clock.now() > START + HOUR);
  assert.equal(responder.seen.length, 2);
  await pass(world, HOUR, () => responder.seen.length > 2);
  assert.ok(clock.now() >= START + 48 * HOUR);
});

test('many certificates of one responder are asked about in an even trickle, at first and ever after', async () => {
  const key = (await ca.issue()).key;
  await using world = await setUp();
  const { engine, responder } = world;
  const count = 60;
  for (let index = 0; index < count; index += 1) {
    await engine.watch(`s${index}`, [await issue(world, { key })]);
  }
  engine.start();
  await pass(world, 100, () => engine.status().every(({ stapled }) => stapled));
  const first = responder.seen.map(({ at }) => at);
  assert.equal(first.length, count);
  assert.ok((first.at(-1) ?? 0) - START >= (count - 1) * 100);
  const seconds = Map.groupBy(first, (at) => Math.floor((at - START) / SECOND));
  assert.ok(Math.max(...[...seconds.values()].map(({ length }) => length)) <= 12);
  await pass(world, HOUR, () => responder.seen.length === 2 * count);
  const hours = Map.groupBy(responder.seen.slice(count), ({ at }) => Math.floor((at - START) / HOUR));
  assert.ok(hours.size >= 9, `renewed within ${hours.size} hours`);
  assert.ok(Math.max(...[...hours.values()].map(({ length }) => length)) < count / 4);
});

test('a process that stood still goes on with the trickle, and does not catch up', async () => {
  const key = (await ca.issue()).key;
  await using world = await setUp();
  const { engine, responder, clock } = world;
  for (let index = 0; index < 60; index += 1) {
    await engine.watch(`s${index}`, [await issue(world, { key })]);
  }
  engine.start();
  await pass(world, 100, () => responder.seen.length >= 10);
  clock.jump(clock.now() + 4 * SECOND);
  await pass(world, 100, () => engine.status().every(({ stapled }) => stapled));
  const seconds = Map.groupBy(responder.seen, ({ at }) => Math.floor((at - START) / SECOND));
  assert.ok(Math.max(...[...seconds.values()].map(({ length }) => length)) <= 14);
});
