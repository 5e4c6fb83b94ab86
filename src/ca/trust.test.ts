import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { TestClock } from '../base/clock.testing.ts';
import { silent } from '../base/log.ts';
import { openAuthority } from './authority.ts';
import { temporary } from './ca.testing.ts';
import { installRoot, rootCertificate, systemStores, uninstallRoot } from './trust.ts';
import type { TrustStore } from './trust.ts';

async function made(t: TestContext): Promise<string> {
  const dir = await temporary(t);
  await openAuthority(dir, { clock: new TestClock(), logger: silent('ca'), lifetime: 1000 });
  return dir;
}

/** A store whose tool writes down how it was called, and exits with `code`. */
async function store(t: TestContext, code = 0): Promise<TrustStore & { folder: string; log: string }> {
  const home = await temporary(t);
  const [tool, folder, log] = [join(home, 'tool'), join(home, 'anchors'), join(home, 'log')];
  await mkdir(folder);
  await writeFile(log, '');
  await writeFile(tool, `#!/bin/sh\necho "$# $*" >>'${log}'\necho broken >&2\nexit ${code}\n`);
  await chmod(tool, 0o755);
  return { tool, folder, log, install: () => ['in'], uninstall: () => ['out', 'fresh'] };
}

test('the root is printed as it is', async (t) => {
  const dir = await made(t);
  assert.equal(await rootCertificate(dir), await readFile(join(dir, 'root.pem'), 'utf8'));
});

test('no CA, or garbage, is said, and none is made', async (t) => {
  const dir = await temporary(t);
  await assert.rejects(rootCertificate(dir), { code: 'ca-missing', message: /made when it first starts/ });
  assert.deepEqual(await readdir(dir), []);
  await writeFile(join(dir, 'root.pem'), 'x');
  await assert.rejects(rootCertificate(dir), { code: 'ca-garbage' });
});

test('installing puts the root where the system looks and tells it; uninstalling undoes that', async (t) => {
  const [dir, one] = [await made(t), await store(t)];
  const absent = { ...one, tool: join(one.folder, 'none') };
  assert.match(await installRoot(dir, [absent, one]), /Latchkey Local CA root .* is trusted/);
  const [file = '', ...more] = await readdir(one.folder);
  assert.match(file, /^latchkey-[0-9a-f]{16}\.crt$/);
  assert.equal(more.length, 0);
  assert.equal(await readFile(join(one.folder, file), 'utf8'), await rootCertificate(dir));
  assert.match(await uninstallRoot(dir, [one]), /no longer trusted/);
  assert.deepEqual(await readdir(one.folder), []);
  await uninstallRoot(dir, [one]);
  assert.equal(await readFile(one.log, 'utf8'), '1 in\n2 out fresh\n2 out fresh\n');
});

test('a tool that fails is quoted, a system without one is told what to do', async (t) => {
  const dir = await made(t);
  await assert.rejects(installRoot(dir, [await store(t, 3)]), { code: 'ca-trust', message: /broken/ });
  await assert.rejects(installRoot(dir, []), {
    code: 'ca-trust',
    message: /give .*root\.pem to your programs/,
  });
});

test('the stores of Debian, Fedora and macOS are known', () => {
  assert.deepEqual(
    systemStores.map(({ tool, install }) => [tool.split('/').at(-1), ...install('ROOT')].join(' ')),
    [
      'update-ca-certificates',
      'update-ca-trust extract',
      'security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ROOT',
    ],
  );
});
