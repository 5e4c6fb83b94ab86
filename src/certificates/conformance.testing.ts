/** What every CertificateTable promises (table.ts), tried on one. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { createAuthority } from './credentials.testing.ts';
import type { CertificateSet, CertificateTable } from './table.ts';

export interface TableUnderTest extends Disposable {
  readonly table: CertificateTable;
}

export function tableConformance(name: string, open: () => TableUnderTest): void {
  suite(`${name} keeps the contract of certificate tables`, async () => {
    const authority = await createAuthority();
    const [ec, rsa, other] = await Promise.all([
      authority.issue(['www.example.org']),
      authority.issue(['www.example.org'], 'rsa'),
      authority.issue(['other.example.org']),
    ]);
    const set = { fallback: false, certificates: [rsa, ec] };
    const content = (found: CertificateSet | undefined) =>
      found && { fallback: found.fallback, certificates: found.certificates };

    test('what was put is what is got, whole', () => {
      using subject = open();
      const stapled = { fallback: true, certificates: [{ ...ec, staple: Buffer.from('a response') }] };
      assert.equal(subject.table.put('md:example.org', set), 'stored');
      assert.equal(subject.table.put('md:stapled', stapled), 'stored');
      assert.deepEqual(content(subject.table.get('md:example.org')), set);
      assert.deepEqual(content(subject.table.get('md:stapled')), stapled);
    });

    test('a set that was read stays as it was while others are read', () => {
      using subject = open();
      const staple = Buffer.alloc(900, 1);
      subject.table.put('a', { fallback: false, certificates: [{ ...ec, staple }] });
      subject.table.put('b', { fallback: false, certificates: [{ ...other, staple: Buffer.alloc(900, 2) }] });
      const read = subject.table.get('a');
      subject.table.get('b');
      subject.table.version('b');
      assert.deepEqual(Buffer.from(read?.certificates[0]?.staple ?? []), staple);
    });

    test('a version is equal while nothing changed and another after every change', () => {
      using subject = open();
      const versions = new Set<string | undefined>();
      const variants = [
        set,
        { ...set, fallback: true },
        { ...set, certificates: [ec] },
        { ...set, certificates: [ec, rsa] },
        { ...set, certificates: [{ ...ec, staple: Buffer.from('x') }] },
        { ...set, certificates: [{ ...ec, chainPem: ec.chainPem + authority.rootPem }] },
        { ...set, certificates: [other] },
      ];
      for (const variant of variants) {
        assert.equal(subject.table.put('id', variant), 'stored');
        assert.equal(subject.table.put('id', structuredClone(variant)), 'unchanged');
        assert.equal(subject.table.version('id'), subject.table.get('id')?.version);
        versions.add(subject.table.version('id'));
      }
      assert.equal(versions.size, variants.length);
      assert.ok(!versions.has(undefined));
    });

    test('whether anything changed can be told without looking at it', () => {
      using subject = open();
      const seen = new Set<number>([subject.table.changes()]);
      const changes: (() => unknown)[] = [
        () => subject.table.put('id', set),
        () => subject.table.put('id', { ...set, fallback: true }),
        () => subject.table.point('store', ['www.example.org'], 'id'),
        () => subject.table.unpoint('store', ['www.example.org']),
        () => subject.table.forget('store', [{ id: 'id', names: [] }]),
        () => subject.table.remove('id'),
      ];
      for (const [made, change] of changes.entries()) {
        change();
        assert.equal(subject.table.changes(), subject.table.changes());
        assert.equal(seen.add(subject.table.changes()).size, made + 2);
      }
    });

    test('a set is replaced as a whole', () => {
      using subject = open();
      subject.table.put('id', set);
      subject.table.put('id', { fallback: true, certificates: [other] });
      assert.deepEqual(content(subject.table.get('id')), { fallback: true, certificates: [other] });
      assert.deepEqual([...subject.table.ids()], ['id']);
    });

    test('removing a set leaves those that share its chain', () => {
      using subject = open();
      subject.table.put('a', { fallback: false, certificates: [ec] });
      subject.table.put('b', { fallback: false, certificates: [other] });
      assert.equal(subject.table.remove('a'), 'removed');
      assert.equal(subject.table.remove('never there'), 'removed');
      assert.equal(subject.table.get('a'), undefined);
      assert.equal(subject.table.version('a'), undefined);
      assert.deepEqual(subject.table.get('b')?.certificates, [other]);
      subject.table.put('b', { fallback: false, certificates: [{ ...other, chainPem: other.chainPem }] });
      assert.deepEqual(subject.table.get('b')?.certificates, [other]);
      assert.deepEqual([...subject.table.ids()], ['b']);
    });

    test('a name is found within its scope only, as it was pointed last', () => {
      using subject = open();
      subject.table.point('store', ['www.example.org', '*.example.org'], 'one');
      subject.table.point('stor', ['ewww.example.org'], 'shifted');
      subject.table.point('store', ['www.example.org'], 'two');
      assert.equal(subject.table.find('store', 'www.example.org'), 'two');
      assert.equal(subject.table.find('store', '*.example.org'), 'one');
      assert.equal(subject.table.find('other', 'www.example.org'), undefined);
      assert.equal(subject.table.find('store', 'ewww.example.org'), undefined);
      subject.table.unpoint('store', ['www.example.org', 'never there']);
      assert.equal(subject.table.find('store', 'www.example.org'), undefined);
      assert.equal(subject.table.find('store', '*.example.org'), 'one');
    });

    test('sets are forgotten with those of their names that still lead to them', () => {
      using subject = open();
      const ids = Array.from({ length: 120 }, (_, n) => `set ${n}`);
      for (const [n, id] of ids.entries()) {
        subject.table.put(id, { fallback: false, certificates: [n % 2 ? ec : other] });
        subject.table.point('store', [`${n}.example`, `also.${n}.example`], id);
      }
      subject.table.point('store', ['also.5.example'], 'set 119');
      const sets = ids.slice(0, 119).map((id, n) => ({ id, names: [`${n}.example`, `also.${n}.example`] }));
      assert.equal(subject.table.forget('store', sets), 'removed');
      assert.deepEqual([...subject.table.ids()], ['set 119']);
      assert.equal(subject.table.find('store', '5.example'), undefined);
      assert.equal(subject.table.find('store', 'also.5.example'), 'set 119');
      assert.equal(subject.table.find('store', 'also.119.example'), 'set 119');
      assert.deepEqual(subject.table.get('set 119')?.certificates, [ec]);
      assert.equal(subject.table.forget('store', [{ id: 'set 119', names: ['never there'] }]), 'removed');
      assert.deepEqual([...subject.table.ids()], []);
    });

    test('what is no set is refused and changes nothing', () => {
      using subject = open();
      subject.table.put('id', set);
      const wrong = [
        [],
        [{ ...ec, chainPem: '' }],
        [{ ...ec, keyPem: ec.keyPem.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE') }],
        [{ ...ec, serial: 'not hex' }],
        [{ ...ec, staple: new Uint8Array(2 ** 20) }],
      ];
      for (const certificates of wrong) {
        assert.throws(() => subject.table.put('id', { fallback: false, certificates }));
      }
      assert.deepEqual(content(subject.table.get('id')), set);
    });

    test('any name may be asked for', () => {
      using subject = open();
      fc.assert(
        fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (name) => {
          assert.equal(subject.table.get(name), undefined);
          assert.equal(subject.table.version(name), undefined);
          assert.equal(subject.table.find('scope', name), undefined);
        }),
      );
    });

    test('many names with many sets are told apart', () => {
      using subject = open();
      const name = fc.stringMatching(/^[a-z0-9*.:-]{1,40}$/);
      const pair = fc.record({ scope: name, name, id: name });
      fc.assert(
        fc.property(fc.array(pair), (pairs) => {
          const expected = new Map<string, string>();
          for (const { scope, name, id } of pairs) {
            subject.table.point(scope, [name], id);
            expected.set(JSON.stringify([scope, name]), id);
          }
          for (const { scope, name } of pairs) {
            assert.equal(subject.table.find(scope, name), expected.get(JSON.stringify([scope, name])));
          }
        }),
      );
    });
  });
}
