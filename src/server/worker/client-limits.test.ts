import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { suite, test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { defaultClientLimits } from '../../config/directives/client-limits.ts';
import type { ClientLimitSettings } from '../../config/settings.ts';
import { ClientLimits, type Counted } from './client-limits.ts';

const FEW: ClientLimitSettings = {
  connections: 3,
  handshakes: { perSecond: 2, atOnce: 10 },
  exempt: ['192.0.2.0/24', '2001:db8:1::/48'],
};

type Connection = Counted & { close(): void };

function connection(remoteAddress: string): Connection {
  const life = new EventEmitter();
  return {
    endpoints: { remoteAddress },
    onClose: (callback) => life.once('close', callback),
    close: () => life.emit('close'),
  };
}

const close = (one: Connection) => one.close();

suite('A client', () => {
  test('has so many connections at a time, and another one when one has closed', () => {
    const limits = new ClientLimits(FEW, new TestClock());
    const open = Array.from({ length: 3 }, () => connection('198.51.100.1'));
    for (const one of open) assert.equal(limits.exceeded(one, false), undefined);
    assert.equal(limits.exceeded(connection('198.51.100.1'), false), 'connections');
    assert.equal(limits.exceeded(connection('::ffff:198.51.100.1'), true), 'connections');
    assert.equal(limits.exceeded(connection('198.51.100.2'), false), undefined);
    for (const one of open.slice(0, 2)) close(one);
    assert.equal(limits.exceeded(connection('198.51.100.1'), false), undefined);
    assert.equal(limits.exceeded(connection('198.51.100.1'), false), undefined);
    assert.equal(limits.exceeded(connection('198.51.100.1'), false), 'connections');
  });

  test('of IPv6 is a /64', () => {
    const limits = new ClientLimits(FEW, new TestClock());
    for (const host of ['1', '2:3:4:5', 'ffff:ffff:ffff:ffff']) {
      assert.equal(limits.exceeded(connection(`2001:db8::${host}`), false), undefined);
    }
    assert.equal(limits.exceeded(connection('2001:db8::9'), false), 'connections');
    assert.equal(limits.exceeded(connection('2001:db8:0:1::9'), false), undefined);
  });

  test('begins so many handshakes at once, and more as time goes by; plain connections do not count', async () => {
    const clock = new TestClock();
    const limits = new ClientLimits({ ...FEW, connections: undefined }, clock);
    const shake = () => limits.exceeded(connection('198.51.100.1'), true);
    for (let n = 0; n < 10; n++) assert.equal(shake(), undefined);
    assert.equal(shake(), 'handshakes');
    assert.equal(limits.exceeded(connection('198.51.100.1'), false), undefined);
    assert.equal(limits.exceeded(connection('198.51.100.2'), true), undefined);
    await clock.advance(1000);
    assert.deepEqual([shake(), shake(), shake()], [undefined, undefined, 'handshakes']);
    await clock.advance(3_600_000);
    for (let n = 0; n < 10; n++) assert.equal(shake(), undefined);
    assert.equal(shake(), 'handshakes');
  });

  test('that is exempt, or gone already, has no limits', () => {
    const limits = new ClientLimits(FEW, new TestClock());
    for (const address of ['192.0.2.7', '::ffff:192.0.2.7', '2001:db8:1::1', '']) {
      for (let n = 0; n < 100; n++) assert.equal(limits.exceeded(connection(address), true), undefined);
    }
  });

  test('of this machine or a private network is exempt by default, one of the internet is not', () => {
    const limits = new ClientLimits({ ...defaultClientLimits, connections: 1 }, new TestClock());
    const second = (address: string) => {
      limits.exceeded(connection(address), false);
      return limits.exceeded(connection(address), false);
    };
    for (const address of [
      '127.0.0.1',
      '::1',
      '10.1.2.3',
      '172.17.0.1',
      '192.168.1.1',
      'fd00::1',
      'fe80::1%eth0',
    ]) {
      assert.equal(second(address), undefined, address);
    }
    for (const address of ['172.32.0.1', '8.8.8.8', '2001:db8::1']) {
      assert.equal(second(address), 'connections', address);
    }
  });

  test('keeps what it has open when limits change, and is held to the new ones', () => {
    const limits = new ClientLimits(FEW, new TestClock());
    const open = Array.from({ length: 3 }, () => connection('198.51.100.1'));
    for (const one of open) limits.exceeded(one, false);
    limits.reconfigure({ ...FEW, connections: 2 });
    assert.equal(limits.exceeded(connection('198.51.100.1'), false), 'connections');
    for (const one of open.slice(0, 2)) close(one);
    assert.equal(limits.exceeded(connection('198.51.100.1'), false), undefined);
    limits.reconfigure({ connections: undefined, handshakes: undefined, exempt: [] });
    for (let n = 0; n < 100; n++) {
      assert.equal(limits.exceeded(connection('198.51.100.1'), true), undefined);
    }
  });
});
