/** Names that nobody configured, ordered when a client calls for them: a whole server, Pebble and a service that permits. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { onDemandServer, withoutPeers } from './on-demand.testing.ts';

const skip = withoutPeers;

suite('a name that is permitted', { skip }, () => {
  for (const challenge of ['http-01', 'tls-alpn-01'] as const) {
    test(`is served on the first connection, validated by ${challenge}`, async () => {
      await using at = await onDemandServer({ challenge });
      at.ask.permit('shop.customer.test');
      await at.server.start();
      const first = await at.shown('shop.customer.test');
      assert.equal(first.names, 'shop.customer.test', at.server.log());
      for (let n = 0; n < 8; n++) assert.deepEqual(await at.shown('shop.customer.test'), first);
      assert.equal(at.ask.count('shop.customer.test'), 1);
      assert.equal(at.orders(), 1, at.pebble.log());
    });
  }
});
