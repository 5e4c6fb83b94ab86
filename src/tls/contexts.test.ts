import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createAuthority } from '../certificates/credentials.testing.ts';
import { MemoryTable } from '../certificates/memory-table.ts';
import type { ClientHello } from './clienthello.ts';
import { SecureContexts } from './contexts.ts';
import { createPolicy, modernPolicy } from './policy.ts';

const hello: ClientHello = {
  legacyVersion: 0x0303,
  cipherSuites: [0x1301],
  supportedVersions: [0x0304],
  groups: [0x1d],
  signatureAlgorithms: [0x0403, 0x0804],
  signatureAlgorithmsCert: undefined,
  alpn: [],
  sni: 'a.example.org',
  sniInvalid: false,
  statusRequest: true,
  resumes: false,
  secureRenegotiation: false,
};

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
    assert.notEqual(contexts.get(table, 'id', createPolicy({ cipherOrder: 'server' })), context);
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
    assert.notEqual(second?.forClient(hello, false).context, first?.forClient(hello, false).context);
    table.remove('id');
    assert.equal(contexts.get(table, 'id', modernPolicy), undefined);
  });

  test('are those of the table that is asked, though another has had as many changes', () => {
    using table = new MemoryTable();
    using another = new MemoryTable();
    const contexts = new SecureContexts();
    table.put('id', { ...set, fallback: true });
    another.put('id', set);
    assert.equal(table.changes(), another.changes());
    for (const [asked, fallback] of [[table, true] as const, [another, false] as const]) {
      assert.equal(contexts.get(asked, 'id', modernPolicy)?.fallback, fallback);
    }
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

  test('of one set under several policies count one by one', () => {
    using table = new MemoryTable();
    const contexts = new SecureContexts({ max: 2 });
    for (const id of ['a', 'b']) table.put(id, set);
    const policy = createPolicy({ cipherOrder: 'server' });
    const [first, second] = [modernPolicy, policy].map((one) => contexts.get(table, 'a', one));
    assert.equal(contexts.get(table, 'a', modernPolicy), first);
    assert.equal(contexts.get(table, 'a', policy), second);
    const other = contexts.get(table, 'b', policy);
    assert.equal(contexts.get(table, 'b', policy), other);
    assert.notEqual(contexts.get(table, 'a', modernPolicy), first);
  });

  test('come with the staple of the certificate that is shown, and only where one is wanted', () => {
    using table = new MemoryTable();
    const contexts = new SecureContexts();
    const [ecStaple, rsaStaple] = [Buffer.from('of EC'), Buffer.from('of RSA')];
    const stapled = { ...certificate, staple: ecStaple };
    const both = [{ ...other, staple: rsaStaple }, stapled];
    table.put('one', { fallback: false, certificates: [stapled] });
    table.put('two', { fallback: false, certificates: both });
    table.put('bare', { fallback: false, certificates: [other, certificate] });
    const served = (id: string, client: ClientHello, inOrder = false) =>
      contexts.get(table, id, modernPolicy)?.forClient(client, inOrder);
    assert.deepEqual(served('one', hello)?.staple, ecStaple);
    assert.deepEqual(served('two', hello)?.staple, ecStaple);
    assert.deepEqual(served('two', hello, true)?.staple, rsaStaple);
    assert.deepEqual(served('two', { ...hello, signatureAlgorithms: [0x0804] })?.staple, rsaStaple);
    const odd = { ...hello, signatureAlgorithms: [0x0807] };
    const silent = { ...hello, statusRequest: false };
    const any = served('two', silent);
    assert.deepEqual(any?.staple, undefined);
    assert.equal(served('two', odd)?.context, any?.context, 'what suits nobody is left to OpenSSL');
    assert.equal(served('bare', hello)?.context, served('bare', silent)?.context);
    assert.notEqual(served('bare', silent, true)?.context, served('bare', silent)?.context);
    assert.equal(served('two', hello)?.context, served('two', hello)?.context);
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
    assert.throws(() => new SecureContexts({ ticketKeys: [Buffer.alloc(32)] }), {
      code: 'tls-bad-ticket-keys',
    });
  });
});
