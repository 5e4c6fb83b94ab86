import assert from 'node:assert/strict';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { createFallbackCertificate } from '../../pki/selfsigned.ts';
import { FsStore } from '../../store/fs/fs-store.ts';
import { readMd, writeMd } from '../../store/documents.ts';
import { type A2md, emptyStore } from './a2md.testing.ts';

const CA = 'https://ca.example/dir';
const EMPTY = { output: [], status: 0 };
const MISSING = { output: [], status: 2, description: 'No such file or directory' };
const no = ['tld', 'white sp.ace', 'invalid.*.wildcard.com', 'k\u00fcller.idn.com', '', '*', '../x.org'];
const noUrls = ['no.schema/path', 'http://white space/path', 'http://bad.port:-1/path', 'ftp://ca.example/'];

const make = (t: TestContext): Promise<A2md> => emptyStore(t, '-a', CA);

test('a2md says its version, its usage, and what it does not understand', async (t) => {
  const tool = await make(t);
  assert.match((await tool.bare('-V')).stdout, /^version: \d+\.\d+\.\d+(-git)?\n$/);
  const help = await tool.bare('--help');
  assert.equal(help.code, 0);
  assert.match(help.stdout, /Usage: latchkey a2md/);
  for (const args of [[], ['nonsense'], ['store'], ['store', 'nonsense'], ['--nonsense'], ['delreg', 'x']]) {
    const { code, stderr } = await tool.bare(...args);
    assert.equal(code, 1, args.join(' '));
    assert.notEqual(stderr, '');
  }
  assert.match((await tool.bare('lst')).stderr, /no command 'lst'; there are: add, list, /);
  const json = await tool.run('nonsense');
  assert.deepEqual(json.json, { output: [], status: 22, description: 'Invalid argument' });
});

test('of options that repeat, the last one counts', async (t) => {
  const tool = await make(t);
  const other = await emptyStore(t);
  assert.equal((await tool.bare('-a', 'x', '-a', CA, '-d', other.dir, 'add', 'example.org')).code, 0);
  assert.deepEqual((await tool.run('list')).json, EMPTY);
  assert.equal((await other.one('list')).ca['url'], CA);
});

test('it needs a store, and names one that it can not use', async (t) => {
  const tool = await make(t);
  const { a2md } = await import('./a2md.ts');
  let said = '';
  const output = { out: () => {}, err: (text: string) => (said += text) };
  assert.equal(await a2md(['list'], output), 1);
  assert.match(said, /need store directory/);
  await mkdir(tool.dir, { recursive: true });
  await writeFile(join(tool.dir, 'md_store.json'), 'garbage');
  const { code, stderr } = await tool.run('list');
  assert.equal(code, 1);
  assert.match(stderr, /md_store\.json/);
});

suite('store', () => {
  test('add makes a domain of state 0, with its CA if one is given', async (t) => {
    const tool = await make(t);
    const names = ['b.example.org', 'www.b.example.org', 'a.example.org'];
    const md = await tool.one('store', 'add', ...names);
    assert.equal(md.name, names[0]);
    assert.deepEqual(md.domains, names);
    assert.deepEqual(md.contacts, []);
    assert.deepEqual(md.ca, { proto: 'ACME', url: CA, urls: [CA] });
    assert.equal(md.state, 0);
    assert.ok(!('renew' in md));
    const { json } = await tool.bare('-j', 'store', 'add', 'example.org');
    assert.equal(json.output[0]?.ca['proto'], 'ACME');
    assert.equal(json.output[0].ca['url'], undefined);
    const plain = await tool.bare('store', 'list');
    assert.equal(plain.stdout, `md: b.example.org [${names.join(', ')}]\nmd: example.org [example.org]\n`);
  });

  test('add refuses what is there, but looks at no overlap', async (t) => {
    const tool = await make(t);
    await tool.one('store', 'add', 'example.org');
    const again = await tool.run('store', 'add', 'example.org');
    assert.equal(again.code, 1);
    assert.deepEqual(again.json, { output: [], status: 17, description: 'File exists' });
    await tool.one('store', 'add', 'example.com', 'example.org');
    assert.equal((await tool.run('store', 'add')).code, 1);
  });

  test('list and remove', async (t) => {
    const tool = await make(t);
    assert.deepEqual((await tool.run('store', 'list')).json, EMPTY);
    const kept = await tool.one('store', 'add', 'example.org');
    await tool.one('store', 'add', 'example.com');
    assert.deepEqual((await tool.run('store', 'remove', 'example.com')).json, EMPTY);
    assert.deepEqual((await tool.run('store', 'list')).json.output, [kept]);
    const missing = await tool.run('store', 'remove', 'example.com');
    assert.equal(missing.code, 1);
    assert.deepEqual(missing.json, MISSING);
    assert.deepEqual((await tool.run('store', 'remove', '-f', 'example.com')).json, EMPTY);
  });

  test('update changes domains and CA, and nothing where there is nothing to change', async (t) => {
    const tool = await make(t);
    const md = await tool.one('store', 'add', 'example.org');
    assert.deepEqual(await tool.one('store', 'update', 'example.org'), md);
    const two = await tool.one('store', 'update', 'example.org', 'domains', 'example.org', 'example.com');
    assert.deepEqual(two.domains, ['example.org', 'example.com']);
    const other = await tool.one('store', 'update', 'example.org', 'domains', 'example.com');
    assert.deepEqual([other.name, other.domains], ['example.org', ['example.com']]);
    const moved = await tool.one('-a', 'https://foo.example/', 'store', 'update', 'example.org');
    assert.equal(moved.ca['url'], 'https://foo.example/');
    assert.equal((await tool.run('store', 'update', 'example.org', 'domains')).code, 1);
    assert.equal((await tool.run('store', 'update', 'example.org', 'contacts', 'a@b.org')).code, 1);
    assert.deepEqual((await tool.run('store', 'update', 'missing.org')).json, MISSING);
  });
});

suite('add', () => {
  test('gives state 1, and is what list shows', async (t) => {
    const tool = await make(t);
    const names = ['test.org', 'xxx.org', 'aaa.org'];
    const { code, json } = await tool.run('add', ...names, ...names);
    assert.equal(code, 0);
    assert.deepEqual((await tool.run('list')).json, json);
    const [md] = json.output;
    assert.deepEqual(md?.domains, names);
    assert.deepEqual([md.state, md.renew, md.ca['url']], [1, true, CA]);
    await tool.one('add', '*.wild.org');
    await tool.one('add', 'xn--kller-jua.punycode.de');
    await tool.one('add', 'SUB.test.org');
    assert.deepEqual((await tool.run('list', 'sub.test.org')).json.output[0]?.domains, ['sub.test.org']);
  });

  test('refuses names and URLs that are none', async (t) => {
    const tool = await make(t);
    for (const name of no) {
      assert.equal((await tool.run('add', name)).code, 1, name);
      assert.equal((await tool.run('add', 'example.org', name)).code, 1, name);
    }
    for (const url of noUrls) assert.equal((await tool.run('-a', url, 'add', 'example.org')).code, 1, url);
    assert.deepEqual((await tool.run('list')).json, EMPTY);
    // As MDCertificateAuthority has them.
    assert.match(String((await tool.one('-a', 'letsencrypt', 'add', 'example.org')).ca['url']), /^https:/);
  });

  test('refuses what overlaps with another domain', async (t) => {
    const tool = await make(t);
    await tool.one('add', 'one.org', 'two.org');
    for (const names of [['one.org'], ['two.org'], ['three.org', 'one.org'], ['three.org', 'TWO.org']]) {
      const { code, json } = await tool.run('add', ...names);
      assert.equal(code, 1);
      assert.equal(json.status, 22);
    }
    await tool.one('add', 'sub.one.org');
  });
});

suite('list', () => {
  test('is sorted by name, and names what it does not know', async (t) => {
    const tool = await make(t);
    for (const name of ['b.org', 'c.org', 'a.org']) await tool.one('add', name);
    const { json } = await tool.run('list');
    assert.deepEqual(
      json.output.map(({ name }) => name),
      ['a.org', 'b.org', 'c.org'],
    );
    const missing = await tool.run('list', 'd.org');
    assert.deepEqual(missing.json, MISSING);
    assert.match(missing.stderr, /managed domain not found: d\.org/);
  });

  test('judges by the files that are there', async (t) => {
    const tool = await make(t);
    await tool.one('add', 'example.org');
    const store = await FsStore.attach({ dir: tool.dir });
    const put = async (names: string[], now: number) => {
      const { certPem, keyPem } = await createFallbackCertificate({ names, now });
      await store.save('domains', 'example.org', 'privkey.p-256.pem', keyPem);
      await store.save('domains', 'example.org', 'pubcert.p-256.pem', certPem);
      const { state, renew } = await tool.one('list', 'example.org');
      return { state, renew };
    };
    const md = await readMd(store, 'domains', 'example.org');
    assert.ok(md);
    await writeMd(store, 'domains', 'example.org', { ...md, privkey: { type: 'EC', curve: 'P-256' } });
    assert.deepEqual(await put(['example.org'], Date.now()), { state: 2, renew: false });
    assert.deepEqual(await put(['example.org'], Date.parse('2001-01-01')), { state: 2, renew: true });
    assert.deepEqual(await put(['example.com'], Date.now()), { state: 1, renew: true });
    await store.save('domains', 'example.org', 'pubcert.p-256.pem', 'dummy\n');
    assert.equal((await tool.one('list', 'example.org')).state, 1);
  });

  test('shows no key of an external account, and keeps it', async (t) => {
    const tool = await make(t);
    await tool.one('add', 'example.org');
    const store = await FsStore.attach({ dir: tool.dir });
    const md = await readMd(store, 'domains', 'example.org');
    assert.ok(md);
    await writeMd(store, 'domains', 'example.org', { ...md, eab: { kid: 'kid-1', hmac: 'c2VjcmV0' } });
    const shown = await tool.run('update', 'example.org', 'contacts', 'a@example.org');
    assert.match(shown.stdout, /"kid": "kid-1",\s+"hmac": "\*\*\*"/);
    assert.equal((await tool.run('store', 'list')).stdout.includes('c2VjcmV0'), false);
    const { eab } = (await readMd(store, 'domains', 'example.org')) ?? {};
    assert.deepEqual(eab, { kid: 'kid-1', hmac: 'c2VjcmV0' });
  });

  test('reads a store that Apache has written', async (t) => {
    const tool = await make(t);
    await cp(new URL('../../store/fixtures/apache', import.meta.url), tool.dir, { recursive: true });
    const md = await tool.one('list');
    assert.equal(md.name, 'b.latchkey.test');
  });
});

suite('update', () => {
  const pair = async (t: TestContext) => {
    const tool = await make(t);
    await tool.one('add', 'one.org', 'www.one.org');
    await tool.one('add', 'two.org');
    return (...args: string[]) => tool.run('update', 'one.org', ...args);
  };

  test('domains: others, each once, overlapping with none; the name stays', async (t) => {
    const update = await pair(t);
    const { json } = await update('domains', 'foo.org', 'sub.foo.org', 'foo.org', '*.wild.org');
    assert.equal(json.output[0]?.name, 'one.org');
    assert.deepEqual(json.output[0].domains, ['foo.org', 'sub.foo.org', '*.wild.org']);
    assert.equal((await update('domains')).code, 1);
    assert.equal((await update('domains', 'one.org', 'two.org')).code, 1);
    for (const name of no) assert.equal((await update('domains', name)).code, 1, name);
  });

  test('ca: a URL and a protocol', async (t) => {
    const update = await pair(t);
    const url = 'http://localhost.com:9999';
    assert.equal((await update('ca', url)).json.output[0]?.ca['url'], url);
    assert.equal((await update('ca', CA, 'FOO')).json.output[0]?.ca['proto'], 'FOO');
    for (const bad of noUrls) assert.equal((await update('ca', bad)).code, 1, bad);
    assert.equal((await update('ca')).code, 1);
  });

  test('account and agreement are set, and unset without a value', async (t) => {
    const update = await pair(t);
    for (const [aspect, value] of [
      ['account', 'test.account.id'],
      ['agreement', 'https://ca.example/terms'],
      ['agreement', 'accepted'],
    ] as const) {
      const set = await update(aspect, value, 'ignored');
      assert.equal(set.json.output[0]?.ca[aspect], value);
      const unset = await update(aspect);
      assert.ok(unset.json.output[0]);
      assert.ok(!(aspect in unset.json.output[0].ca));
    }
    for (const bad of noUrls) assert.equal((await update('agreement', bad)).code, 1, bad);
  });

  test('contacts: addresses become mailto URLs', async (t) => {
    const update = await pair(t);
    const { json } = await update('contacts', 'xxx@one.org', 'aaa@one.org');
    assert.deepEqual(json.output[0]?.contacts, ['mailto:xxx@one.org', 'mailto:aaa@one.org']);
    for (const url of ['mailto:test@one.org', 'wrong://schema@one.org']) {
      assert.deepEqual((await update('contacts', url)).json.output[0]?.contacts, [url]);
    }
    assert.equal((await update('contacts')).code, 1);
    for (const bad of [
      'no.at.char',
      'with blank@test.com',
      'missing.host@',
      '@missing.local.org',
      'double..dot@test.com',
      'double@at@test.com',
    ])
      assert.equal((await update('contacts', bad)).code, 1, bad);
  });

  test('refuses other aspects and unknown domains', async (t) => {
    const update = await pair(t);
    const { code, json } = await update('colour', 'red');
    assert.equal(code, 1);
    assert.equal(json.status, 70_023);
    const tool = await make(t);
    assert.deepEqual((await tool.run('update', 'missing.org', 'domains', 'x.org')).json, MISSING);
  });
});

test('a store of mod_md’s first layout is brought up to date', async (t) => {
  const tool = await make(t);
  await tool.one('add', 'old.example');
  const path = join(tool.dir, 'md_store.json');
  await writeFile(path, (await readFile(path, 'utf8')).replace('3.0', '1.0'));
  const folder = join(tool.dir, 'domains', 'old.example');
  for (const [file, text] of [
    ['pkey.pem', 'key'],
    ['cert.pem', 'leaf'],
    ['chain.pem', 'issuer'],
  ] as const) {
    await writeFile(join(folder, file), text);
  }
  await tool.one('list', 'old.example');
  assert.match(await readFile(path, 'utf8'), /"version": 3\.0/);
  assert.equal(await readFile(join(folder, 'privkey.pem'), 'utf8'), 'key');
  assert.equal(await readFile(join(folder, 'pubcert.pem'), 'utf8'), 'leaf\nissuer');
});
