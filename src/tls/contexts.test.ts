import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createAuthority } from '../certificates/credentials.testing.ts';
import { MemoryTable } from '../certificates/memory-table.ts';
import { SecureContexts } from './contexts.ts';
import { createPolicy, modernPolicy } from './policy.ts';

suite('Contexts', async () => {
  const authority = await createAuthority();
  const certificate = await authority.issue(['a.example.org']);
  const another = await authority.issue(['a.example.org']);
  const other = await authority.issue(['a.example.org'], 'rsa');
  const set = { fallback: false, certificates: [certificate] };

  test('are made once for a set and a policy', () => {
    using table = new MemoryTable();
    table.put('id', set);
    table.put('other', set);
    const contexts = new SecureContexts();
    const context = contexts.get(table, 'id', modernPolicy);
    assert.ok(context);
    assert.equal(contexts.get(table, 'id', createPolicy()), context);
    assert.notEqual(contexts.get(table, 'id', createPolicy({ honorCipherOrder: true })), context);
    assert.notEqual(contexts.get(table, 'other', modernPolicy), context);
    assert.equal(contexts.get(table, 'id', modernPolicy), context);
  });

  test('follow the table at once', () => {
    using table = new MemoryTable();
    const contexts = new SecureContexts();
    assert.equal(contexts.get(table, 'id', modernPolicy), undefined);
    table.put('id', { ...set, fallback: true });
    const first = contexts.get(table, 'id', modernPolicy);
    assert.equal(first?.fallback, true);
    table.put('id', set);
    const second = contexts.get(table, 'id', modernPolicy);
    assert.equal(second?.fallback, false);
    assert.notEqual(second?.context, first?.context);
    table.remove('id');
    assert.equal(contexts.get(table, 'id', modernPolicy), undefined);
  });

  test('are as many as allowed, those used last', () => {
    using table = new MemoryTable();
    const contexts = new SecureContexts({ max: 2 });
    for (const id of ['a', 'b', 'c']) table.put(id, set);
    const get = (id: string) => contexts.get(table, id, modernPolicy);
    const [a, b] = [get('a'), get('b')];
    assert.equal(get('a'), a);
    get('c');
    assert.equal(get('a'), a);
    assert.notEqual(get('b'), b);
  });

  test('have a staple where it is clear which certificate it is for', () => {
    using table = new MemoryTable();
    const contexts = new SecureContexts();
    const staple = Buffer.from('response');
    const stapled = { ...certificate, staple };
    table.put('one', { fallback: false, certificates: [stapled] });
    table.put('two', { fallback: false, certificates: [stapled, other] });
    assert.deepEqual(contexts.get(table, 'one', modernPolicy)?.staple, staple);
    assert.equal(contexts.get(table, 'two', modernPolicy)?.staple, undefined);
  });

  test('of a certificate that OpenSSL cannot use are refused by name', () => {
    const contexts = new SecureContexts();
    const broken = { ...certificate, keyPem: another.keyPem };
    assert.throws(() => contexts.create([broken], modernPolicy, 'md:a.example.org'), {
      code: 'tls-unusable-certificate',
      message: /md:a\.example\.org/,
    });
  });

  test('take ticket keys of 48 bytes only', () => {
    assert.throws(() => new SecureContexts({ ticketKeys: Buffer.alloc(32) }), {
      code: 'tls-bad-ticket-keys',
    });
  });
});
