import assert from 'node:assert/strict';
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { publish } from '../../base/events.ts';
import { readJob } from '../../store/documents.ts';
import { formatDate } from '../../store/formats.ts';
import { DAY, put, settings } from '../domains.testing.ts';
import type { EngineOptions } from '../engine-options.ts';
import { fixture, type Fixture, statusOf } from '../engine.testing.ts';
import { HookScript, soon } from './hooks.testing.ts';
import { tellableFrom } from './hooks.ts';

const NAME = 'a.example';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const TIMEOUT = { timeout: 30_000 };

/** An engine whose commands are this script. */
function hooked(script: HookScript, options: Partial<EngineOptions> = {}): Fixture {
  const message = [script.file, 'message'];
  const notify = [script.file, 'notify', 'two words'];
  const f = fixture([settings(NAME)], { hooks: { message, notify }, ...options });
  f.issuer.script = (_domain, { challengeReady }) => challengeReady?.('http-01', NAME);
  return f;
}

/** Waits until nothing runs. */
async function settled(f: Fixture): Promise<void> {
  await soon(async () => {
    await f.clock.advance(0);
    const { running, state } = statusOf(f.engine, NAME);
    return !running && state !== 'unknown';
  });
}

async function run(f: Fixture): Promise<void> {
  f.engine.start();
  await soon(() => f.log.some((line) => /AH10059|AH10057|AH10060/.test(line)));
  await settled(f);
}

async function pass(f: Fixture, ms: number): Promise<void> {
  await f.clock.advance(ms);
  // What a clock has woken begins with the store, and then with processes.
  for (let turns = 0; turns < 5; turns += 1) {
    await delay(2);
    await settled(f);
  }
}

/** As pass(), without each minute on the way. */
async function leap(f: Fixture, ms: number): Promise<void> {
  f.clock.jump(f.clock.now() + ms - 2 * MINUTE);
  await pass(f, 2 * MINUTE);
}

suite('commands of the administrator’s', TIMEOUT, () => {
  test('are told what happens in order, each event and the domain as the last arguments', async (t) => {
    const script = new HookScript(t);
    await using f = hooked(script);
    await run(f);
    assert.deepEqual(script.told(), [
      `message renewing ${NAME}`,
      `message challenge-setup:http-01:${NAME} ${NAME}`,
      `notify two words ${NAME}`,
      `message renewed ${NAME}`,
    ]);
    assert.equal(f.activations, 1);
    const types = statusOf(f.engine, NAME).log.map(({ type }) => type);
    assert.deepEqual(
      types.filter((type) => type.startsWith('message-')),
      ['message-renewed', `message-challenge-setup:http-01:${NAME}`, 'message-renewing'],
    );
  });

  test('may put off a renewal: no CA is asked, and they are asked again at the next check', async (t) => {
    const script = new HookScript(t);
    script.refuse('renewing');
    await using f = hooked(script);
    await run(f);
    assert.equal(f.issuer.runs.length, 0);
    const { problem, errors, nextRun } = statusOf(f.engine, NAME);
    assert.equal(errors, 0);
    assert.equal(problem?.type, 'urn:org:apache:httpd:log:AH10109:');
    assert.equal(problem.detail, `MDMessageCmd ${script.file} failed with exit code 7: no renewing today`);
    assert.equal(nextRun, f.clock.now() + 6 * HOUR);
    assert.equal((await readJob(f.store, 'staging', NAME))?.last?.problem, problem.type);
    assert.deepEqual(script.told(), [`message renewing ${NAME}`]);

    script.refuse();
    await pass(f, 6 * HOUR + MINUTE);
    await soon(() => f.activations === 1);
    assert.deepEqual(script.told().slice(0, 2), [`message renewing ${NAME}`, `message renewing ${NAME}`]);
  });

  test('abort a renewal at a challenge, which is an error, told, and tried again', async (t) => {
    const script = new HookScript(t);
    script.refuse('challenge-setup:http-01');
    await using f = hooked(script);
    await run(f);
    assert.equal(f.activations, 0);
    const { problem, errors } = statusOf(f.engine, NAME);
    assert.equal(errors, 1);
    assert.equal(problem?.type, 'urn:org:apache:httpd:log:AH10109:');
    assert.equal(script.told().at(-1), `message errored ${NAME}`);
    script.refuse();
    await pass(f, MINUTE);
    await soon(() => f.activations === 1);
  });

  test('keep no certificate from being used, and are told of it again until they take it, then no more', async (t) => {
    const script = new HookScript(t);
    script.refuse('notify');
    await using f = hooked(script);
    await run(f);
    assert.equal(f.activations, 1);
    const { problem, errors, nextRun = 0, state } = statusOf(f.engine, NAME);
    assert.deepEqual([state, errors], ['complete', 1]);
    assert.equal(problem?.type, 'urn:org:apache:httpd:log:AH10108:');
    const job = await readJob(f.store, 'staging', NAME);
    assert.deepEqual([job?.notified, job?.['notified-renewed']], [false, false]);
    assert.equal(nextRun, f.clock.now() + 30_000);

    // Another process goes on with it.
    await f.engine[Symbol.asyncDispose]();
    script.refuse('renewed');
    f.restart([settings(NAME)]).start();
    await pass(f, 30_000);
    await soon(() => script.told().length === 5);
    await settled(f);
    assert.deepEqual(script.told().slice(3), [`notify two words ${NAME}`, `message renewed ${NAME}`]);
    script.refuse();
    await pass(f, HOUR);
    await soon(async () => (await readJob(f.store, 'staging', NAME))?.['notified-renewed'] === true);
    assert.deepEqual(script.told().slice(5), [`message renewed ${NAME}`]);
    await settled(f);
    assert.deepEqual([statusOf(f.engine, NAME).errors, statusOf(f.engine, NAME).problem], [0, undefined]);
    await pass(f, 2 * DAY);
    assert.equal(script.told().length, 6);
    assert.equal(f.issuer.runs.length, 1);
  });

  test('are told once of what a restart will activate, however often the process begins', async (t) => {
    const script = new HookScript(t);
    script.refuse('notify');
    await using f = hooked(script, { activateOn: 'restart' });
    f.engine.start();
    await soon(() => f.log.some((line) => line.includes('AH10057')));
    await settled(f);
    assert.equal(statusOf(f.engine, NAME).problem?.type, 'urn:org:apache:httpd:log:AH10108:');
    assert.ok(!f.log.some((line) => line.includes('AH10059')));
    script.refuse();
    await pass(f, MINUTE);
    await soon(() => f.log.some((line) => line.includes('AH10059')));
    await settled(f);
    const job = await readJob(f.store, 'staging', NAME);
    assert.deepEqual(
      [job?.finished, job?.notified, job?.['notified-renewed'], job?.errors],
      [true, true, true, 0],
    );
    const calls = script.told().length;
    await f.engine[Symbol.asyncDispose]();
    f.restart([settings(NAME)]).start();
    await pass(f, DAY);
    assert.equal(script.told().length, calls);
    assert.equal(f.issuer.runs[0]?.name, NAME);
  });

  test('hear of errors once an hour', async (t) => {
    const script = new HookScript(t);
    await using f = hooked(script);
    f.issuer.script = () => {
      throw new Error('no such luck');
    };
    await run(f);
    const errored = () => script.told().filter((line) => line.includes('errored')).length;
    for (let minutes = 1; minutes <= 16; minutes *= 2) await pass(f, minutes * MINUTE);
    assert.ok(f.issuer.runs.length > 3);
    assert.equal(errored(), 1);
    await pass(f, HOUR);
    await soon(() => errored() === 2);
  });

  for (const [what, spoil, told] of [
    ['is missing', (script: HookScript) => rmSync(script.file), /could not be run: .*ENOENT/],
    [
      'is not executable',
      (script: HookScript) => chmodSync(script.file, 0o644),
      /could not be run: .*EACCES/,
    ],
    [
      'hangs',
      (script: HookScript) => script.write('echo so far; exec sleep 1000'),
      /did not end within 0.5 s and was killed: so far/,
    ],
    [
      'says megabytes',
      (script: HookScript) => script.write('head -c 5000000 /dev/zero | tr "\\0" x; exit 9'),
      /failed with exit code 9: …x+$/,
    ],
  ] as const) {
    test(`one that ${what} is a problem in words`, async (t) => {
      const script = new HookScript(t);
      spoil(script);
      const hooks = { message: [script.file], notify: undefined };
      await using f = hooked(script, { hooks, hookLimit: 500 });
      await run(f);
      const { problem } = statusOf(f.engine, NAME);
      assert.equal(problem?.type, 'urn:org:apache:httpd:log:AH10109:');
      assert.match(problem.detail, told);
      assert.ok(problem.detail.length < 1300);
      assert.ok(f.log.some((line) => line.includes('urn:org:apache:httpd:log:AH10109: MDMessageCmd')));
    });
  }

  test('run one at a time, for however many domains', async (t) => {
    const script = new HookScript(t);
    script.write(`echo begin >>"${script.dir}/calls"; echo end >>"${script.dir}/calls"`);
    const domains = Array.from({ length: 8 }, (_, n) => settings(`d${n}.example`));
    await using f = fixture(domains, { hooks: { message: [script.file], notify: undefined } });
    f.engine.start();
    await soon(async () => {
      await f.clock.advance(100);
      return f.activations === domains.length;
    });
    const calls = readFileSync(join(script.dir, 'calls'), 'utf8').trimEnd().split('\n');
    assert.equal(calls.length, 2 * 2 * domains.length);
    assert.ok(
      calls.every((call, index) => call === (index % 2 === 0 ? 'begin' : 'end')),
      calls.join(),
    );
  });

  test('are those of the configuration in force', async (t) => {
    const [before, after] = [new HookScript(t), new HookScript(t)];
    await using f = hooked(before);
    f.engine.reconfigure([settings(NAME)], { hooks: { message: [after.file], notify: undefined } });
    await run(f);
    assert.deepEqual(before.told(), []);
    assert.equal(after.told()[0], `renewing ${NAME}`);
  });

  test('hear of OCSP responses once a day, and of trouble with them once an hour', async (t) => {
    const script = new HookScript(t);
    await using f = hooked(script);
    await run(f);
    const before = script.told().length;
    const problem = { type: 'about:blank', detail: 'no answer' };
    for (const hours of [0, 0, 1, 1, 1]) {
      f.clock.jump(f.clock.now() + hours * HOUR);
      publish('latchkey:ocsp:errored', { domain: 'other', id: '1', problem, errors: 1, nextRun: 0 });
      publish('latchkey:ocsp:renewed', { domain: NAME, id: '1', status: 'good', validUntil: 0 });
      publish('latchkey:ocsp:errored', { domain: NAME, id: '1', problem, errors: 1, nextRun: 0 });
      await soon(async () => {
        const told = (await readJob(f.store, 'staging', NAME))?.hooks?.told ?? {};
        return told['ocsp-errored'] === formatDate(f.clock.now()) && told['ocsp-renewed'] !== undefined;
      });
    }
    const renewed = `message ocsp-renewed ${NAME}`;
    const errored = `message ocsp-errored ${NAME}`;
    const other = 'message ocsp-errored other';
    const four = (event: string) => Array.from({ length: 4 }, () => event);
    assert.deepEqual(script.told().slice(before).sort(), [...four(errored), ...four(other), renewed]);
  });

  test('do not keep the engine from ending', async (t) => {
    const script = new HookScript(t);
    script.write(`echo $$ >"${script.dir}/pid"; exec sleep 1000`);
    const f = hooked(script);
    f.engine.start();
    await soon(() => readable(join(script.dir, 'pid')));
    await f.engine[Symbol.asyncDispose]();
    assert.equal(f.issuer.runs.length, 0);
  });
});

test('an event is not told again for a while', () => {
  const at = Date.parse('2026-11-22T06:00:00Z');
  for (const [event, pause] of [
    ['ocsp-renewed', DAY],
    ['ocsp-errored', HOUR],
    ['expiring', DAY],
    ['errored', HOUR],
    ['installed', 0],
  ] as const) {
    assert.equal(tellableFrom({ told: new Map([[event, at]]) }, event, at + 1), at + pause, event);
  }
});

suite('the end of a certificate', TIMEOUT, () => {
  test('is told once a day from the warn window on, where nothing renews it', async (t) => {
    const script = new HookScript(t);
    const manual = settings(NAME, { renewMode: 'manual' });
    await using f = fixture([manual], { hooks: { message: [script.file], notify: undefined } });
    await put(f.store, 'domains', NAME, { names: [NAME] });
    f.engine.start();
    await settled(f);
    await leap(f, 80 * DAY);
    assert.deepEqual(script.told(), []);
    await leap(f, DAY);
    await soon(async () => (await readJob(f.store, 'staging', NAME))?.hooks?.told['expiring'] !== undefined);
    assert.deepEqual(script.told(), [`expiring ${NAME}`]);
    // A restart is no reason to tell it again.
    await f.engine[Symbol.asyncDispose]();
    f.restart([manual]).start();
    await settled(f);
    await leap(f, HOUR);
    assert.equal(script.told().length, 1);
    for (const told of [2, 3, 4]) {
      await leap(f, DAY + HOUR);
      await soon(() => script.told().length >= told);
      // Looked at again on the same day, and not told again.
      await leap(f, 7 * HOUR);
      assert.equal(script.told().length, told);
    }
    assert.ok(f.log.some((line) => /\[md:warn\].*md\(a\.example\): the certificate expires on/.test(line)));
  });

  test('waits for a renewal that is tried, and is told where that fails', async (t) => {
    const script = new HookScript(t);
    await using f = hooked(script);
    await put(f.store, 'domains', NAME, { names: [NAME], notAfter: f.clock.now() - DAY, notBefore: 0 });
    f.issuer.script = () => {
      throw new Error('no such luck');
    };
    await run(f);
    assert.ok(!script.told().some((line) => line.includes('expiring')));
    for (let minutes = 1; minutes <= 64; minutes *= 2) await pass(f, minutes * MINUTE);
    await soon(() => script.told().includes(`message expiring ${NAME}`));
    assert.ok(statusOf(f.engine, NAME).expired);
  });
});

function readable(file: string): boolean {
  try {
    return readFileSync(file, 'utf8').endsWith('\n');
  } catch {
    return false;
  }
}
