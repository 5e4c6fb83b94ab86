import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { caaFindings, type CaaSubject, judgeCaa, parseIssue } from './caa.ts';
import type { CaaRecord, Dns } from './dns.ts';

const subject: CaaSubject = { identities: ['ca.example'], account: undefined, challenges: ['http-01'] };
const record = (tag: string, value: string, critical = false): CaaRecord => ({ tag, value, critical });

function judged(name: string, records: CaaRecord[], changes: Partial<CaaSubject> = {}): string | undefined {
  const found = judgeCaa(name, { at: 'example.org', records }, { ...subject, ...changes });
  assert.ok(found.length <= 1);
  return found[0]?.detail;
}

suite('a set of CAA records', () => {
  test('allows whom it names, and nobody else', () => {
    const issue = record('issue', 'ca.example');
    assert.equal(judged('www.example.org', [issue]), undefined);
    assert.equal(
      judged('www.example.org', [record('issue', 'CA.Example.'), record('iodef', 'x')]),
      undefined,
    );
    assert.equal(judged('www.example.org', [record('issue', 'other.example'), issue]), undefined);
    assert.match(
      judged('www.example.org', [record('issue', 'other.example')]) ?? '',
      /CAA of example\.org allows other\.example, not ca\.example/,
    );
    assert.match(judged('www.example.org', [record('issue', ';')]) ?? '', /allows no CA/);
    assert.match(judged('www.example.org', [record('issue', 'ca.example; %%')]) ?? '', /allows no CA/);
  });

  test('restricts nothing without issue', () => {
    assert.equal(judged('www.example.org', []), undefined);
    assert.equal(judged('www.example.org', [record('iodef', 'mailto:x@example.org')]), undefined);
    assert.equal(judged('www.example.org', [record('issuewild', ';')]), undefined);
  });

  test('has issuewild count for wildcards, where there is one', () => {
    const issue = record('issue', 'ca.example');
    assert.equal(judged('*.example.org', [issue]), undefined);
    assert.match(judged('*.example.org', [issue, record('issuewild', ';')]) ?? '', /allows wildcards no CA/);
    assert.equal(
      judged('*.example.org', [record('issue', ';'), record('issuewild', 'ca.example')]),
      undefined,
    );
  });

  test('with an unknown critical tag keeps every CA away', () => {
    const all = [record('issue', 'ca.example'), record('tbs', 'x', true)];
    assert.match(judged('www.example.org', all) ?? '', /'tbs' of example\.org is marked critical/);
    assert.equal(judged('www.example.org', [record('issue', 'ca.example', true)]), undefined);
  });

  test('may demand an account and ways of validation', () => {
    const bound = [record('issue', 'ca.example; accounturi=https://ca.example/acct/1')];
    assert.match(judged('www.example.org', bound) ?? '', /only for the account .*no account here yet/);
    assert.equal(judged('www.example.org', bound, { account: 'https://ca.example/acct/1' }), undefined);
    assert.match(
      judged('www.example.org', bound, { account: 'https://ca.example/acct/2' }) ?? '',
      /the one here is https:\/\/ca\.example\/acct\/2/,
    );
    const dns = [record('issue', 'ca.example; validationmethods=dns-01,dns-account-01')];
    assert.match(
      judged('www.example.org', dns) ?? '',
      /only by dns-01,dns-account-01; possible here: http-01/,
    );
    assert.equal(judged('www.example.org', dns, { challenges: ['dns-01'] }), undefined);
    assert.equal(judged('www.example.org', [...dns, record('issue', 'ca.example')]), undefined);
  });
});

test('values are read as written, and garbage allows nobody', () => {
  const tag = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
  const value = fc.stringMatching(/^[!-:<-~]{1,12}$/);
  fc.assert(
    fc.property(fc.dictionary(tag, value, { noNullPrototype: true }), (parameters) => {
      const rest = Object.entries(parameters).map(([key, text]) => `; ${key}=${text}`);
      const read = parseIssue(`ca.example${rest.join('')}`);
      assert.equal(read.issuer, 'ca.example');
      assert.deepEqual(Object.fromEntries(read.parameters), parameters);
    }),
  );
  fc.assert(fc.property(fc.string(), (any) => typeof parseIssue(any).issuer === 'string'));
});

suite('climbing', () => {
  const dnsOf = (sets: Record<string, CaaRecord[] | undefined>, asked: string[]): Dns => ({
    addresses: () => Promise.resolve({ records: [] }),
    caa: (name) => {
      asked.push(name);
      const records = name in sets ? sets[name] : [];
      return Promise.resolve(records ? { records } : { failure: 'ESERVFAIL' });
    },
  });

  test('the closest set counts, up to the top-level domain', async () => {
    const asked: string[] = [];
    const sets = { 'example.org': [record('issue', ';')], org: [record('issue', 'ca.example')] };
    const [found] = await caaFindings(dnsOf(sets, asked), '*.a.example.org', subject, {});
    assert.match(found?.detail ?? '', /CAA of example\.org/);
    assert.deepEqual(asked, ['a.example.org', 'example.org']);
    asked.length = 0;
    assert.deepEqual(await caaFindings(dnsOf({}, asked), 'a.b.org', subject, {}), []);
    assert.deepEqual(asked, ['a.b.org', 'b.org', 'org']);
  });

  test('servers that do not answer keep the CA from issuing', async () => {
    const [found] = await caaFindings(dnsOf({ 'example.org': undefined }, []), 'a.example.org', subject, {});
    assert.match(found?.detail ?? '', /DNS servers of example\.org do not answer .*ESERVFAIL/);
    assert.equal(found?.severity, 'problem');
  });
});
