import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { TestClock } from '../base/clock.testing.ts';
import { silent } from '../base/log.ts';
import { openAuthority } from './authority.ts';
import type { AuthorityOptions } from './authority.ts';

const DAY = 86_400_000;
const names = [{ type: 'dns', value: 'a.localhost' } as const];

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-ca-'));
  t.after(() => rm(dir, { recursive: true }));
  return dir;
}

function options(clock = new TestClock(), lifetime = 90 * DAY): AuthorityOptions & { clock: TestClock } {
  return { clock, lifetime, logger: silent('ca') };
}

function spki(type: 'ec' | 'rsa' = 'ec'): Buffer {
  const { publicKey } =
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return publicKey.export({ format: 'der', type: 'spki' });
}

function split(pem: string): X509Certificate[] {
  return pem
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter(Boolean)
    .map((one) => new X509Certificate(one));
}

test('a first opening makes root and intermediate, the keys for their owner alone', async (t) => {
  const dir = await folder(t);
  await openAuthority(dir, options());
  const made = ['intermediate-key.pem', 'intermediate.pem', 'root-key.pem', 'root.pem'];
  assert.deepEqual((await readdir(dir)).sort(), made);
  for (const name of made.filter((n) => n.includes('key'))) {
    assert.equal((await stat(join(dir, name))).mode & 0o777, 0o600, name);
  }
  const root = new X509Certificate(await readFile(join(dir, 'root.pem')));
  assert.match(root.subject, /^CN=Latchkey Local CA root \(.*\) 2026$/);
});

test('a second opening, or one at the same time, has the same root and intermediate', async (t) => {
  const dir = await folder(t);
  const opened = await Promise.all([1, 2, 3, 4].map(() => openAuthority(dir, options())));
  const later = await openAuthority(dir, options());
  for (const authority of opened) assert.equal(authority.rootPem, later.rootPem);
  const chains = await Promise.all([...opened, later].map((a) => a.issue(names, spki())));
  const keys = chains.map(({ chainPem }) =>
    split(chainPem)[1]?.publicKey.export({ type: 'spki', format: 'pem' }),
  );
  assert.equal(new Set(keys).size, 1);
});

for (const type of ['ec', 'rsa'] as const) {
  test(`openssl verifies a chain for a key of type ${type}, strictly`, async (t) => {
    const dir = await folder(t);
    const clock = new TestClock(Date.now());
    const authority = await openAuthority(dir, options(clock));
    const ip = { type: 'ip', value: '2001:db8::1' } as const;
    const { chainPem } = await authority.issue([...names, ip], spki(type));
    await writeFile(join(dir, 'chain.pem'), chainPem);
    const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'a.localhost'];
    const files = ['-CAfile', 'root.pem', '-untrusted', 'chain.pem', 'chain.pem'];
    const run = promisify(execFile);
    const { stdout } = await run('openssl', [...args, '-verify_ip', '2001:db8::1', ...files], { cwd: dir });
    assert.equal(stdout, 'chain.pem: OK\n');
  });
}

test('a certificate has the names, the usage and the key identifiers it should', async (t) => {
  const authority = await openAuthority(await folder(t), options());
  const issued = await authority.issue(names, spki());
  const [leaf, intermediate, ...more] = split(issued.chainPem);
  assert.ok(leaf && intermediate && more.length === 0);
  assert.equal(leaf.subject, 'CN=a.localhost');
  assert.equal(leaf.subjectAltName, 'DNS:a.localhost');
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.equal(leaf.ca, false);
  assert.equal(intermediate.ca, true);
  assert.equal(leaf.serialNumber, issued.serial);
  assert.ok(BigInt(`0x${issued.serial}`) >= 2n ** 128n);
});

test('a name too long for a subject stands in the alternative names alone', async (t) => {
  const authority = await openAuthority(await folder(t), options());
  const value = `${'a'.repeat(60)}.${'b'.repeat(60)}.localhost`;
  const [leaf] = split((await authority.issue([{ type: 'dns', value }], spki())).chainPem);
  assert.equal(leaf?.subject, undefined);
  assert.equal(leaf?.subjectAltName, `DNS:${value}`);
});

test('the lifetime counts from now, in seconds too; the back-dating is small beside it', async (t) => {
  const clock = new TestClock('2026-11-22T06:00:00.900Z');
  const authority = await openAuthority(await folder(t), options(clock));
  const short = await authority.issue(names, spki(), { lifetime: 1000 });
  assert.equal(short.notBefore, Date.parse('2026-11-22T06:00:00Z'));
  assert.equal(short.notAfter, Date.parse('2026-11-22T06:00:02Z'));
  const usual = await authority.issue(names, spki());
  assert.equal(usual.notBefore, Date.parse('2026-11-22T05:59:00Z'));
  assert.equal(usual.notAfter, Date.parse('2027-02-20T06:00:01Z'));
});

test('the intermediate is renewed in time, while open and when opened', async (t) => {
  const dir = await folder(t);
  const { clock, ...rest } = options();
  const authority = await openAuthority(dir, { clock, ...rest });
  const before = split((await authority.issue(names, spki())).chainPem)[1];
  clock.jump(clock.now() + 250 * DAY);
  const chains = await Promise.all([authority.issue(names, spki()), authority.issue(names, spki())]);
  const [after, same] = chains.map(({ chainPem }) => split(chainPem)[1]);
  assert.notEqual(after?.serialNumber, before?.serialNumber);
  assert.equal(after?.serialNumber, same?.serialNumber);
  clock.jump(clock.now() + 400 * DAY);
  const reopened = await openAuthority(dir, { clock, ...rest });
  assert.equal(reopened.rootPem, authority.rootPem);
  assert.ok((await reopened.issue(names, spki())).notAfter > clock.now() + 89 * DAY);
});

test('nothing outlives the root, and an ended root is named', async (t) => {
  const dir = await folder(t);
  const { clock, ...rest } = options();
  const authority = await openAuthority(dir, { clock, ...rest });
  const end = new X509Certificate(authority.rootPem).validToDate.getTime();
  clock.jump(end - DAY);
  assert.equal((await authority.issue(names, spki())).notAfter, end);
  clock.jump(end);
  await assert.rejects(openAuthority(dir, { clock, ...rest }), {
    code: 'ca-expired',
    message: /root\.pem.*root/,
  });
});

test('a beginning that was cut short after the root key is finished with that key', async (t) => {
  const dir = await folder(t);
  await openAuthority(dir, options());
  const key = await readFile(join(dir, 'root-key.pem'), 'utf8');
  for (const name of ['root.pem', 'intermediate.pem', 'intermediate-key.pem']) await rm(join(dir, name));
  await openAuthority(dir, options());
  assert.equal(await readFile(join(dir, 'root-key.pem'), 'utf8'), key);
});

for (const name of ['intermediate.pem', 'intermediate-key.pem']) {
  test(`a missing ${name} is made anew under the same root`, async (t) => {
    const dir = await folder(t);
    const { rootPem } = await openAuthority(dir, options());
    await rm(join(dir, name));
    const again = await openAuthority(dir, options());
    assert.equal(again.rootPem, rootPem);
    const [leaf, intermediate] = split((await again.issue(names, spki())).chainPem);
    assert.ok(intermediate && leaf?.verify(intermediate.publicKey));
    assert.ok(intermediate.verify(new X509Certificate(rootPem).publicKey));
  });
}

for (const name of ['root.pem', 'root-key.pem']) {
  test(`a missing ${name} is never made anew`, async (t) => {
    const dir = await folder(t);
    await openAuthority(dir, options());
    await rm(join(dir, name));
    const message = new RegExp(`${name} is missing.*backup`);
    await assert.rejects(openAuthority(dir, options()), { code: 'ca-missing', message });
    assert.ok(!(await readdir(dir)).includes(name));
  });
}

for (const name of ['root.pem', 'root-key.pem', 'intermediate.pem', 'intermediate-key.pem']) {
  test(`garbage in ${name} is named and left alone`, async (t) => {
    const dir = await folder(t);
    await openAuthority(dir, options());
    await writeFile(join(dir, name), 'garbage\u0000');
    const message = new RegExp(`${name} .*(backup|remove it)`);
    await assert.rejects(openAuthority(dir, options()), { code: 'ca-garbage', message });
    assert.equal(await readFile(join(dir, name), 'utf8'), 'garbage\u0000');
  });
}

test('files of another CA are found out, and no key is in the message', async (t) => {
  const [dir, other] = [await folder(t), await folder(t)];
  await openAuthority(dir, options());
  await openAuthority(other, options());
  const swap = async (name: string) => writeFile(join(dir, name), await readFile(join(other, name)));
  await swap('root-key.pem');
  await assert.rejects(openAuthority(dir, options()), (error: Error) => {
    assert.match(error.message, /root-key\.pem is not the key of root\.pem/);
    assert.doesNotMatch(error.message, /BEGIN/);
    return true;
  });
  await swap('root.pem');
  await assert.rejects(
    openAuthority(dir, options()),
    /intermediate\.pem is not signed by root\.pem: remove it/,
  );
});

test('a folder that cannot be one is named', async (t) => {
  const dir = await folder(t);
  await writeFile(join(dir, 'file'), '');
  await assert.rejects(openAuthority(join(dir, 'file'), options()), { code: 'ca-io', message: /file/ });
});
