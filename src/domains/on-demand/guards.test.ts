import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { refusalOf } from './guards.ts';

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/);

suite('what is never ordered on demand', () => {
  for (const [name, reason] of [
    ['192.0.2.1', 'it is an IP address'],
    ['2001:db8::1', 'it is an IP address'],
    ['localhost', 'it is a single label'],
    ['com', 'it is a single label'],
    ['co.uk', 'it is a public suffix'],
    ['github.io', 'it is a public suffix'],
    ['1.2.0.192.in-addr.arpa', 'it is a name of the DNS itself'],
    ['a.a.a.example.org', 'its labels repeat'],
    ['www.www.example.org', 'its labels repeat'],
    ['www.mail.www.example.org', 'its labels repeat'],
    ['d.c.b.a.example.org', 'it has more than 3 labels below example.org'],
    ['*.example.org', 'it is no host name'],
    ['_dmarc.example.org', 'it is no host name'],
    ['-a.example.org', 'it is no host name'],
    ['a..example.org', 'it is no host name'],
    [`${'a.'.repeat(100)}example.org`, 'it is longer than 200 characters'],
  ] as const) {
    test(`${name.slice(0, 40)}: ${reason}`, () => assert.equal(refusalOf(name), reason));
  }

  test('addresses in any spelling', () => {
    fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => refusalOf(address) !== undefined));
  });

  test('names with a label twice, wherever it stands', () => {
    fc.assert(
      fc.property(label, fc.array(label, { maxLength: 2 }), fc.nat(3), (twice, others, at) => {
        const labels = [...others];
        labels.splice(at % (labels.length + 1), 0, twice);
        assert.notEqual(refusalOf([twice, ...labels, 'example', 'org'].join('.')), undefined);
      }),
    );
  });

  test('whatever a client may send that is no host name, without an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const refusal = refusalOf(text);
        if (!/^[a-z\d.-]+$/.test(text)) assert.notEqual(refusal, undefined);
      }),
    );
  });
});

suite('what may be ordered on demand', () => {
  for (const name of [
    'example.org',
    'www.example.org',
    'shop.eu.customer.co.uk',
    'me.github.io',
    'com.example.com',
    'xn--bcher-kva.example',
    'app.internal.test',
  ]) {
    test(name, () => assert.equal(refusalOf(name), undefined));
  }

  test('any few different labels below a registered domain', () => {
    const labels = fc.uniqueArray(
      label.filter((text) => text !== 'example'),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(labels, (below) => assert.equal(refusalOf([...below, 'example.org'].join('.')), undefined)),
    );
  });
});
