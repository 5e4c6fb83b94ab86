import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { until } from '../../domains/domains.testing.ts';
import { FsLeases } from './leases.ts';

function folder(t: test.TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-leases-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** As a machine elsewhere would have written it. */
function foreign(dir: string, name: string, beat: number): void {
  const sign = { host: 'elsewhere', pid: 1, started: '1', beat, held: true };
  writeFileSync(join(dir, `${name}.7.lease`), JSON.stringify(sign));
}

/** A process of its own that takes `name`, says so, and holds it. */
async function holder(dir: string, name: string) {
  const code = `
    import { FsLeases } from ${JSON.stringify(new URL('./leases.ts', import.meta.url).href)};
    const lease = await (await FsLeases.open(${JSON.stringify(dir)})).take(${JSON.stringify(name)});
    console.log(lease ? 'has it' : 'has it not');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, has: said.toString() === 'has it\n' };
}

suite('a lease on a shared store', () => {
  test('is had by one at a time, and by the next when it is given back', async (t) => {
    const dir = folder(t);
    const [one, two] = [await FsLeases.open(dir), await FsLeases.open(dir)];
    const lease = await one.take('*.a.example');
    assert.ok(lease && !lease.handedOver);
    assert.equal(await two.take('*.a.example'), undefined);
    assert.ok(await two.take('b.example'), 'another name is another lease');
    await lease[Symbol.asyncDispose]();
    const again = await one.take('*.a.example');
    assert.equal(again?.handedOver, false);
    await again?.[Symbol.asyncDispose]();
    assert.ok((await two.take('*.a.example'))?.handedOver);
    assert.equal(await one.take('*.a.example'), undefined);
  });

  test('is got by one of many who want it at the same instant', async (t) => {
    const dir = folder(t);
    const all = await Promise.all(Array.from({ length: 20 }, () => FsLeases.open(dir)));
    for (let round = 0; round < 10; round += 1) {
      const leases = await Promise.all(all.map((leases) => leases.take('a.example')));
      const [lease, ...more] = leases.filter((lease) => lease !== undefined);
      assert.ok(lease);
      assert.equal(more.length, 0);
      await lease[Symbol.asyncDispose]();
    }
    assert.equal(readdirSync(dir).length, 1, 'nothing is left of former ones');
  });

  test('of a killed process on this machine is free at once, of a live one never', async (t) => {
    const dir = folder(t);
    const { child, has } = await holder(dir, 'a.example');
    t.after(() => child.kill('SIGKILL'));
    assert.ok(has);
    const clock = new TestClock();
    const leases = await FsLeases.open(dir, clock);
    assert.equal(await leases.take('a.example'), undefined);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.ok(await leases.take('a.example'));
  });

  test('of another machine is free when it has shown no life for a minute of our clock', async (t) => {
    const dir = folder(t);
    const clock = new TestClock();
    const leases = await FsLeases.open(dir, clock);
    foreign(dir, 'a.example', 0);
    assert.equal(await leases.take('a.example'), undefined);
    await clock.advance(50_000);
    foreign(dir, 'a.example', 1);
    assert.equal(await leases.take('a.example'), undefined);
    await clock.advance(50_000);
    assert.equal(await leases.take('a.example'), undefined, 'it has shown life since');
    await clock.advance(10_000);
    assert.ok(await leases.take('a.example'));
    assert.deepEqual(readdirSync(dir), ['a.example.8.lease']);
  });

  test('tells a holder that had stood still that another has it, and is not given back by it', async (t) => {
    const dir = folder(t);
    const clock = new TestClock();
    const leases = await FsLeases.open(dir, clock);
    const lease = await leases.take('a.example');
    assert.ok(lease);
    foreign(dir, 'a.example', 0);
    await clock.advance(10_000);
    await until(() => lease.signal.aborted);
    assert.match(String(lease.signal.reason), /another server has taken over a\.example/);
    await lease[Symbol.asyncDispose]();
    assert.match(readFileSync(join(dir, 'a.example.7.lease'), 'utf8'), /"host":"elsewhere".*"held":true/);
  });

  test('names what others have had since one last asked', async (t) => {
    const dir = folder(t);
    const [one, two] = [await FsLeases.open(dir), await FsLeases.open(dir)];
    assert.deepEqual(await one.changed(), []);
    await (await two.take('a.example'))?.[Symbol.asyncDispose]();
    await (await one.take('b.example'))?.[Symbol.asyncDispose]();
    assert.deepEqual(await one.changed(), ['a.example']);
    assert.deepEqual(await one.changed(), []);
    assert.deepEqual((await two.changed()).sort(), ['b.example']);
  });

  test('is waited for as long as one is told to, and garbage in its place delays but does not hold for ever', async (t) => {
    const dir = folder(t);
    const clock = new TestClock();
    const leases = await FsLeases.open(dir, clock);
    writeFileSync(join(dir, 'a.example.1.lease'), '{"host":');
    writeFileSync(join(dir, 'stray'), '');
    const waiting = leases.takeWithin('a.example', 5000);
    // Each try is followed by a sleep of 200 ms, 25 of which are 5 s.
    for (let sleeps = 0; sleeps < 25; sleeps += 1) {
      await until(() => clock.sleeping > 0);
      await clock.advance(200);
    }
    assert.equal(await waiting, undefined);
    await clock.advance(60_000);
    assert.ok(await leases.take('a.example'));
  });
});
