import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import { Orders } from './orders.ts';
import type { Order } from './orders.ts';

const identifiers = [{ type: 'dns', value: 'a.localhost' }] as const;
const wanted = { identifiers, profile: 'default' } as const;

/** An order as a process before this one left it. */
function leave(dir: string, order: Pick<Order, 'id' | 'account' | 'created' | 'expires'>): void {
  const pending = { identifier: identifiers[0], wildcard: false, status: 'pending', challenges: [] };
  const whole = { ...order, identifiers, authorizations: [pending] };
  writeFileSync(join(dir, `${order.id}.json`), JSON.stringify(whole));
}

test('an account may have so many open orders, and another one as soon as one is no longer open', async (t) => {
  const clock = new TestClock();
  const root = mkdtempSync(join(tmpdir(), 'latchkey-orders-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const dir = join(root, 'orders');
  mkdirSync(dir);
  const created = clock.now();
  for (let i = 0; i < 2000; i++) {
    leave(dir, { id: `left-${i}`, account: 'full', created, expires: created + 3_600_000 });
  }
  const orders = await Orders.open(dir, clock, silent('ca'));
  const refused = { message: /2000 orders of the account are open/ };
  await assert.rejects(orders.create('full', wanted), refused);
  await orders.create('other', wanted);

  await orders.decide({ order: 'left-0', index: 0 }, (one) => ({ ...one, status: 'invalid' }));
  await orders.create('full', wanted);
  await assert.rejects(orders.create('full', wanted), refused);

  await orders.deactivate('left-1', 0);
  await orders.complete('left-2', 'C0FFEE');
  // Changed once more, they are no longer open, and are not taken off again.
  await orders.deactivate('left-1', 0);
  await orders.create('full', wanted);
  await orders.create('full', wanted);
  await assert.rejects(orders.create('full', wanted), refused);

  clock.jump(created + 3_600_001);
  await orders.sweep();
  await orders.create('full', wanted);
});
