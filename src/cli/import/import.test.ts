import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { readPair } from '../../domains/stored/held.ts';
import { readAccount, readMd } from '../../store/documents.ts';
import { MemoryStore } from '../../store/memory.ts';
import { readAcmeSh } from './acme-sh.ts';
import { configurationOf, keepAccount, obstacle, writeDomain } from './apply.ts';
import { readCaddy } from './caddy.ts';
import { readCertbot } from './certbot.ts';
import { assignments, privateKey } from './files.ts';
import type { Reader } from './found.ts';
import {
  ACCOUNT_URL,
  acmeShFolder,
  caddyFolder,
  certbotFolder,
  Folder,
  legoFolder,
  LETSENCRYPT,
  pair,
  rsaKey,
} from './import.testing.ts';
import { readLego } from './lego.ts';
import { readPem } from './pem.ts';
import { planImport } from './plan.ts';

const plan = async (read: Reader, dir: string, authority?: string) =>
  planImport(await read(dir, { authority }), Date.now());

suite('a folder of another program', () => {
  for (const [program, read, make, name, mail] of [
    ['certbot', readCertbot, certbotFolder, 'b.example.org', undefined],
    ['acme.sh', readAcmeSh, acmeShFolder, 's.example.org', 's@example.org'],
    ['lego', readLego, legoFolder, 'l.example.org', 'l@example.org'],
    ['caddy', readCaddy, caddyFolder, 'c.example.org', 'c@example.org'],
  ] as const) {
    test(`of ${program} gives certificates and accounts, which a store then has`, async (t) => {
      const folder = new Folder(t);
      const key = rsaKey();
      await make(folder, key);
      const { domains, accounts, problems } = await plan(read, folder.dir);
      assert.deepEqual(problems, []);
      const [[domain], [account]] = [domains, accounts];
      assert.ok(domain && account);
      assert.equal(domain.name, name);
      assert.equal(domain.authority, LETSENCRYPT);
      assert.deepEqual([account.authority, account.url], [LETSENCRYPT, ACCOUNT_URL]);
      assert.ok(account.key.equals(key));
      assert.deepEqual(account.contacts, mail === undefined ? [] : [`mailto:${mail}`]);

      const store = new MemoryStore();
      const kept = await keepAccount(store, account);
      assert.equal(await keepAccount(store, account), kept, 'once');
      assert.equal(await obstacle(store, domain, false), undefined);
      await writeDomain(store, domain, kept);
      assert.equal((await readAccount(store, 'accounts', kept))?.url, ACCOUNT_URL);
      const md = await readMd(store, 'domains', name);
      assert.deepEqual([md?.domains, md?.ca.account, md?.state], [domain.names, kept, 2]);
      const held = await readPair(store, 'domains', name, '.secp256r1');
      assert.ok(held && !('damage' in held));
      assert.match(await obstacle(store, domain, false).then(String), /--force/);
      assert.equal(await obstacle(store, domain, true), undefined);
    });
  }

  test('of acme.sh may have two keys for the same names: one domain', async (t) => {
    const folder = new Folder(t);
    await acmeShFolder(folder, rsaKey());
    const { domains } = await plan(readAcmeSh, folder.dir);
    assert.equal(domains.length, 1);
    const [domain] = domains;
    assert.ok(domain);
    assert.deepEqual(
      domain.pairs.map(({ spec }) => spec.type),
      ['RSA', 'EC'],
    );
    assert.equal(
      configurationOf(domain),
      `<MDomain s.example.org>
  MDContactEmail s@example.org
  MDPrivateKeys RSA 2048 secp256r1
  MDCertificateAgreement accepted
</MDomain>`,
    );
  });

  test('of a CA that nobody knows needs to be told the directory', async (t) => {
    const folder = new Folder(t);
    await legoFolder(folder, rsaKey());
    const registration = { uri: 'https://ca.internal:9000/acct/1' };
    folder.write('accounts/ca.internal_9000/x@example.org/account.json', JSON.stringify({ registration }));
    folder.write(
      'accounts/ca.internal_9000/x@example.org/keys/x@example.org.key',
      (await pair({ names: ['x'] })).key,
    );
    const { accounts, problems } = await plan(readLego, folder.dir);
    assert.equal(accounts.length, 1);
    assert.match(problems.join('\n'), /ca\.internal_9000.*give it by --ca/);
    const told = await plan(readLego, folder.dir, 'https://ca.internal:9000/directory');
    assert.deepEqual(told.problems, []);
    assert.equal(told.accounts.length, 2);
  });

  test('that is empty, missing or garbage gives nothing, and says what is wrong', async (t) => {
    const folder = new Folder(t);
    for (const read of [readCertbot, readAcmeSh, readLego, readCaddy]) {
      assert.deepEqual(await plan(read, folder.dir), { domains: [], accounts: [], problems: [] });
      assert.deepEqual((await plan(read, join(folder.dir, 'nowhere'))).domains, []);
    }
    folder.write('live/x.org/fullchain.pem', 'garbage');
    folder.write('live/x.org/privkey.pem', 'garbage');
    folder.write('live/y.org/fullchain.pem', (await pair({ names: ['y.org'] })).chain);
    folder.write('accounts/ca/dir/1/private_key.json', '{"kty":"RSA","n":1}');
    folder.write('accounts/ca/dir/1/regr.json', '[]');
    const certbot = await plan(readCertbot, folder.dir);
    assert.deepEqual([certbot.domains.length, certbot.accounts.length], [0, 0]);
    assert.equal(certbot.problems.length, 3);
    for (const part of ['live/x.org', 'live/y.org', 'accounts/ca/dir/1'])
      assert.ok(
        certbot.problems.some((problem) => problem.includes(part)),
        part,
      );
  });
});

suite('plain PEM', () => {
  test('is one file, or a folder in which keys and certificates find each other', async (t) => {
    const folder = new Folder(t);
    const one = await pair({ names: ['one.org'] });
    const two = await pair({ names: ['two.org'] });
    const stray = await pair({ names: ['stray.org'] });
    folder.write('one.pem', one.key + one.chain);
    folder.write('a.crt', two.chain);
    folder.write('z.key', two.key);
    folder.write('stray.crt', stray.chain);
    folder.write('notes.txt', 'nothing');
    const { domains, problems } = await plan(readPem, folder.dir);
    assert.deepEqual(
      domains.map(({ name }) => name),
      ['one.org', 'two.org'],
    );
    assert.match(problems.join(), /stray\.crt: its private key is not in/);
    assert.equal((await plan(readPem, join(folder.dir, 'one.pem'))).domains[0]?.name, 'one.org');
  });
});

suite('a certificate is taken only', () => {
  const planOf = async (...certificates: { chain: string; key: string }[]) =>
    planImport(
      {
        certificates: certificates.map((found, at) => ({ file: `${at}.pem`, ...found })),
        accounts: [],
        problems: [],
      },
      Date.now(),
    );

  test('with its own key, unexpired, and with names that can be ones', async () => {
    const [good, other] = [await pair({ names: ['a.org'] }), await pair({ names: ['b.org'] })];
    const old = await pair({ names: ['c.org'], notBefore: 0, notAfter: 1_000_000 });
    const ed = generateKeyPairSync('ed25519').privateKey;
    const { domains, problems } = await planOf(
      { chain: good.chain, key: other.key },
      old,
      await pair({ names: ['d.org'], key: ed }).catch(() => ({ chain: good.chain, key: 'garbage' })),
      { chain: 'x', key: good.key },
    );
    assert.deepEqual(domains, []);
    assert.equal(problems.length, 4);
    assert.match(problems[0] ?? '', /0\.pem: the private key beside it is not that of this certificate/);
    assert.match(problems[1] ?? '', /1\.pem: it has expired/);
    assert.ok(problems.every((problem) => !problem.includes('PRIVATE KEY')));
  });

  test('once for each name: the larger one, the longer-lived one', async () => {
    const large = await pair({ names: ['a.org', 'b.org'] });
    const small = await pair({ names: ['b.org'] });
    const longer = await pair({ names: ['a.org', 'b.org'], notAfter: Date.now() + 300 * 86_400_000 });
    const { domains, problems } = await planOf(small, large, longer);
    assert.equal(domains.length, 1);
    assert.equal(domains[0]?.pairs[0]?.file, '2.pem');
    assert.match(problems.join(), /0\.pem: b\.org is in the larger certificate of a\.org already/);
    const store = new MemoryStore();
    assert.ok(domains[0]);
    await writeDomain(store, domains[0], undefined);
    const overlapping = (await planOf(small)).domains[0];
    assert.ok(overlapping);
    assert.match(
      String(await obstacle(store, overlapping, true)),
      /b\.org is a name of the managed domain a\.org/,
    );
  });
});

test('assignments are read as written, whatever the rest of the file is', () => {
  const key = fc.stringMatching(/^[A-Za-z_]\w{0,10}$/);
  const value = fc.stringMatching(/^[^\s'"]([^\r\n'"]{0,20}[^\s'"])?$/);
  fc.assert(
    fc.property(
      fc.dictionary(key, value, { noNullPrototype: true }),
      fc.constantFrom("'", '"', ''),
      (all, quote) => {
        const lines = Object.entries(all).map(([name, text]) => `${name}=${quote}${text}${quote}`);
        const read = assignments(['# note', '[section]', ...lines].join('\n'));
        assert.deepEqual(Object.fromEntries(read), all);
      },
    ),
  );
  fc.assert(fc.property(fc.string(), (any) => assignments(any) instanceof Map));
});

test('a private key is PEM or a JWK', () => {
  const key = rsaKey();
  assert.ok(privateKey(JSON.stringify(key.export({ format: 'jwk' }))).equals(key));
  for (const bad of ['{', '{}', '{"kty":"RSA"}', 'x', '']) assert.throws(() => privateKey(bad), bad);
});
