import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

test('clients have limits that nobody meets, and private networks none', (t) => {
  const { connections, handshakes, exempt } = load(t, '').clientLimits;
  assert.deepEqual(
    { connections, handshakes },
    { connections: 4000, handshakes: { perSecond: 200, atOnce: 4000 } },
  );
  for (const network of ['127.0.0.0/8', '::1/128', '172.16.0.0/12']) assert.ok(exempt.includes(network));
});

test('each limit is a number or off, and who is exempt a list of networks', (t) => {
  const limits = (text: string) => load(t, text).clientLimits;
  assert.equal(limits('ClientConnections 50').connections, 50);
  assert.equal(limits('ClientConnections off').connections, undefined);
  assert.deepEqual(limits('ClientHandshakes 10').handshakes, { perSecond: 10, atOnce: 200 });
  assert.deepEqual(limits('ClientHandshakes 10 30').handshakes, { perSecond: 10, atOnce: 30 });
  assert.equal(limits('ClientHandshakes Off').handshakes, undefined);
  assert.deepEqual(limits('ClientLimitsExempt none').exempt, []);
  assert.deepEqual(limits('ClientLimitsExempt 192.0.2.1 10.1 2001:db8::/32').exempt, [
    '192.0.2.1/32',
    '10.1.0.0/16',
    '2001:db8::/32',
  ]);
  assert.ok(limits('ClientLimitsExempt private 192.0.2.1').exempt.includes('10.0.0.0/8'));
});

test('what is no limit is refused', (t) => {
  for (const text of ['0', '-1', 'x', '1.5', '1000001']) {
    assert.match(refusal(t, `ClientConnections ${text}`).message, /from 1 to 1000000/);
    assert.match(refusal(t, `ClientHandshakes 5 ${text}`).message, /from 1 to 1000000/);
  }
  assert.match(refusal(t, 'ClientLimitsExempt none 10.0.0.0/8').message, /stands alone/);
  assert.match(refusal(t, 'ClientLimitsExempt 10.0.0.0/33').message, /network mask is invalid/);
  assert.match(
    refusal(t, '<VirtualHost *:80>\nClientConnections 5\n</VirtualHost>').message,
    /ClientConnections/,
  );
});
