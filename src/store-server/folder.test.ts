import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { createAuthority, type TestAuthority } from '../certificates/credentials.testing.ts';
import { PemFolder } from './folder.ts';

interface Site {
  readonly dir: string;
  readonly folder: PemFolder;
  readonly problems: string[];
  /** Writes a pair; gives its serial. */
  readonly write: (file: string, ...names: string[]) => Promise<string>;
  /** Serial of what is found. */
  readonly found: (name: string) => Promise<string | undefined>;
}

let authority: TestAuthority | undefined;

async function site(t: TestContext): Promise<Site> {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-certs-'));
  const problems: string[] = [];
  const folder = new PemFolder(dir, { complain: (problem) => problems.push(problem) });
  t.after(() => {
    folder[Symbol.dispose]();
    rmSync(dir, { recursive: true });
  });
  return {
    dir,
    folder,
    problems,
    async write(file, ...names) {
      authority ??= await createAuthority();
      const { chainPem, keyPem, serial } = await authority.issue(names);
      writeFileSync(join(dir, `${file}.crt`), chainPem);
      writeFileSync(join(dir, `${file}.key`), keyPem);
      return serial;
    },
    async found(name) {
      const pair = await folder.find(name);
      return pair && new X509Certificate(pair.cert).serialNumber;
    },
  };
}

/** inotify tells of a change in its own time. */
async function comesTrue(probe: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 3000; tries++) {
    if (await probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail('it has not come true');
}

suite('a folder of pairs', () => {
  test('is searched by file, by the names of the certificates, and by their wildcards', async (t) => {
    const { write, found } = await site(t);
    const own = await write('example.com', 'example.com', 'www.example.com');
    const wild = await write('anything', '*.example.com');
    assert.equal(await found('example.com'), own);
    assert.equal(await found('www.example.com'), own);
    assert.equal(await found('shop.example.com'), wild);
    assert.equal(await found('a.shop.example.com'), undefined);
    assert.equal(await found('anything'), undefined);
    assert.equal(await found('example.org'), undefined);
  });

  test('is seen to change: pairs that come, are replaced, get other names, and go', async (t) => {
    const { dir, write, found } = await site(t);
    assert.equal(await found('one.example'), undefined);
    await write('pair', 'one.example');
    await comesTrue(async () => (await found('one.example')) !== undefined);
    const renewed = await write('pair', 'one.example', 'two.example');
    assert.equal(await found('one.example'), renewed);
    await comesTrue(async () => (await found('two.example')) === renewed);
    await write('pair', 'two.example');
    assert.equal(await found('one.example'), undefined);
    renameSync(join(dir, 'pair.key'), join(dir, 'moved.key'));
    renameSync(join(dir, 'pair.crt'), join(dir, 'moved.crt'));
    await comesTrue(async () => (await found('two.example')) !== undefined);
    rmSync(join(dir, 'moved.crt'));
    assert.equal(await found('two.example'), undefined);
  });

  test('keeps back what is no pair, and says once why', async (t) => {
    const { dir, write, found, problems } = await site(t);
    await write('other', 'other.example');
    await write('a.example', 'a.example');
    renameSync(join(dir, 'other.key'), join(dir, 'a.example.key'));
    writeFileSync(join(dir, 'b.example.crt'), 'nonsense');
    writeFileSync(join(dir, 'b.example.key'), 'nonsense');
    writeFileSync(join(dir, 'c.example.crt'), Buffer.alloc(300 * 1024, 'x'));
    await write('d.example', 'd.example');
    writeFileSync(
      join(dir, 'd.example.key'),
      '-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n',
    );
    for (let times = 0; times < 3; times++) {
      for (const name of ['a', 'b', 'c', 'd', 'other'])
        assert.equal(await found(`${name}.example`), undefined);
    }
    assert.deepEqual(
      problems.map((problem) => problem.replace(/^.*\/(\S+) is not served: /, '$1: ')).toSorted(),
      [
        'a.example.crt: a.example.key is not its key',
        'b.example.crt: there is no certificate in it',
        'c.example.crt: there is no certificate in it',
        'd.example.crt: d.example.key is no plain private key in PEM',
        'other.crt: there is no other.key beside it',
      ],
    );
    assert.doesNotMatch(problems.join(), /SECRET/);
    const mended = await write('a.example', 'a.example');
    assert.equal(await found('a.example'), mended);
  });

  test('that is not there is an empty one until it is', async (t) => {
    const { dir } = await site(t);
    const folder = new PemFolder(join(dir, 'later'), { complain: assert.fail });
    assert.equal(await folder.find('example.com'), undefined);
  });
});
