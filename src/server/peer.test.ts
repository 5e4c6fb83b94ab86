import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { LatchkeyError } from '../base/errors.ts';
import { Peer, PeerError, type Calls, type Handlers } from './peer.ts';

type TestCalls = {
  double: (n: number) => number;
  echo: (value: unknown) => unknown;
  fail: (message: string) => never;
  hang: (argument: undefined) => never;
};

const handlers: Handlers<TestCalls> = {
  double: (n) => n * 2,
  echo: async (value) => value,
  fail: (message) => {
    throw new LatchkeyError('for-a-reason', message);
  },
  hang: () => new Promise<never>(() => {}),
};

/** Two ends of a channel within this process; what passes is copied, as between processes. */
function pair(): { here: Peer<TestCalls>; ends: readonly EventEmitter[]; cut: () => void } {
  const ends = [new EventEmitter(), new EventEmitter()] as const;
  let connected = true;
  const end = (own: EventEmitter, other: EventEmitter) =>
    Object.assign(own, {
      get connected() {
        return connected;
      },
      send(message: unknown, _handle: unknown, _options: unknown, done: (error: Error | null) => void) {
        const copy: unknown = structuredClone(message);
        setImmediate(() => {
          if (connected) other.emit('message', copy);
          done(connected ? null : new Error('closed'));
        });
        return true;
      },
    });
  const [a, b] = [end(ends[0], ends[1]), end(ends[1], ends[0])];
  const here = new Peer<TestCalls>(a as never, {});
  void new Peer<Calls>(b as never, handlers);
  const cut = () => {
    connected = false;
    for (const one of ends) one.emit('disconnect');
  };
  return { here, ends, cut };
}

suite('a call to a peer', () => {
  test('is answered with what its handler gives, many at once', async () => {
    const { here } = pair();
    const calls = Array.from({ length: 100 }, (_, n) => here.call('double', n));
    assert.deepEqual(
      await Promise.all(calls),
      Array.from({ length: 100 }, (_, n) => n * 2),
    );
  });

  test('carries the error’s code and message, and no more', async () => {
    const { here } = pair();
    await assert.rejects(here.call('fail', 'no luck'), {
      name: 'PeerError',
      code: 'peer-failed',
      remoteCode: 'for-a-reason',
      message: 'no luck',
    });
  });

  test('of a name that is not offered fails, be it one that every object has', async () => {
    const { here } = pair();
    for (const name of ['nothing', 'toString', '__proto__', 'constructor']) {
      await assert.rejects(here.call(name as 'double', 1), { message: `unknown call: ${name}` });
    }
  });

  test('whose answer cannot travel fails, and leaves the channel usable', async () => {
    const { here, ends } = pair();
    for (const garbage of [{ latchkey: 'answer', id: 999, value: 1 }, 'garbage', null]) {
      for (const end of ends) end.emit('message', garbage);
    }
    await assert.rejects(
      here.call('echo', () => {}),
      Error,
    );
    assert.equal(await here.call('double', 4), 8);
  });

  test('under way when the peer goes is rejected, and so is every later one', async () => {
    const { here, cut } = pair();
    const waiting = here.call('hang', undefined);
    const rejected = assert.rejects(waiting, { code: 'peer-gone' });
    await new Promise(setImmediate);
    cut();
    await rejected;
    await assert.rejects(here.call('double', 1), PeerError);
  });

  test('is not disturbed by messages that no peer of ours sends', async () => {
    const { here, ends } = pair();
    const answer = here.call('double', 21);
    const noText = { toString: 1 };
    for (const message of [
      { latchkey: 'call', id: 7, name: noText, argument: 1 },
      { latchkey: 'call', id: noText, name: 'double', argument: 1 },
      { latchkey: 'failure', id: 1, code: noText, message: 'text' },
      { latchkey: 'failure', id: 1, code: 'code', message: noText },
      { latchkey: 'nonsense', id: 1, message: noText },
      { latchkey: noText },
    ]) {
      for (const end of ends) end.emit('message', message);
    }
    assert.equal(await answer, 42);
  });
});

/** A process that offers `slow` and `bytes`, and is said to be ready by its first message. */
function child(t: TestContext): ReturnType<typeof fork> {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-peer-'));
  const program = join(dir, 'child.mjs');
  writeFileSync(
    program,
    `import { Peer } from ${JSON.stringify(new URL('peer.ts', import.meta.url).href)};
     new Peer(process, { bytes: (n) => new Uint8Array(n).fill(7), slow: () => new Promise(() => {}) });
     process.send('ready');`,
  );
  const forked = fork(program, { serialization: 'advanced' });
  t.after(() => {
    forked.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  return forked;
}

type ChildCalls = { bytes: (n: number) => Uint8Array; slow: (argument: undefined) => never };

test('between processes bytes stay bytes, and a kill -9 rejects what waits', async (t) => {
  const forked = child(t);
  await once(forked, 'message');
  const peer = new Peer<ChildCalls>(forked, {});
  const bytes = await peer.call('bytes', 100_000);
  assert.ok(bytes instanceof Uint8Array && bytes.length === 100_000 && bytes.every((byte) => byte === 7));
  const waiting = assert.rejects(peer.call('slow', undefined), { code: 'peer-gone' });
  forked.kill('SIGKILL');
  await waiting;
});

test('a call right after a kill -9 is rejected, and crashes nobody', async (t) => {
  const forked = child(t);
  await once(forked, 'message');
  const peer = new Peer<ChildCalls>(forked, {});
  const exited = once(forked, 'exit');
  forked.kill('SIGKILL');
  await assert.rejects(peer.call('slow', undefined), { code: 'peer-gone' });
  await exited;
  await assert.rejects(peer.call('slow', undefined), { code: 'peer-gone' });
});
