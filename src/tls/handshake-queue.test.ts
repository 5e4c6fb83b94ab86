import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { HandshakeQueue } from './handshake-queue.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

suite('Handshakes', () => {
  test('are begun at once while a turn has room for them, and else in later turns, in order', async () => {
    const begun: number[] = [];
    const turns = new HandshakeQueue({ perTurn: 2, mostWaiting: 10 });
    for (const n of [1, 2, 3, 4, 5]) assert.ok(turns.take(() => begun.push(n)));
    assert.deepEqual(begun, [1, 2]);
    assert.equal(turns.waiting, 3);
    await turn();
    assert.deepEqual(begun, [1, 2, 3, 4]);
    // Who comes now waits behind those who wait.
    assert.ok(turns.take(() => begun.push(6)));
    assert.ok(turns.take(() => begun.push(7)));
    await turn();
    await turn();
    assert.deepEqual(begun, [1, 2, 3, 4, 5, 6, 7]);
    assert.ok(turns.take(() => begun.push(8)));
    assert.equal(begun.at(-1), 8);
  });

  test('are turned away where too many wait, and taken again when there is room', async () => {
    let refused = 0;
    let begun = 0;
    const turns = new HandshakeQueue({ perTurn: 1, mostWaiting: 2, onRefused: () => refused++ });
    const come = () => turns.take(() => begun++);
    assert.deepEqual([come(), come(), come(), come()], [true, true, true, false]);
    assert.equal(refused, 1);
    await turn();
    assert.deepEqual([come(), come()], [true, false]);
    assert.equal(refused, 2);
    while (turns.waiting > 0) await turn();
    assert.equal(begun, 4);
  });
});
