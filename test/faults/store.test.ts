/** Garbage in the store, and filesystems that are full: told in words, harmless, over when it is over. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { TestServer, binary, eventually, freePorts, missing, run, selfSigned } from '../latchkey.testing.ts';
import { getPlain, getSecure, isClosed, localAuthority, server } from './faults.testing.ts';

const NAME = 'a.latchkey.localhost';

interface Rig {
  readonly one: TestServer;
  readonly http: number;
  readonly https: number;
}

/** A server with one managed domain of its own CA, not started. */
async function rig(one: TestServer, ...more: readonly string[]): Promise<Rig> {
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  one.write('htdocs/index.html', 'hello');
  one.configure(server({ http, https }, 'Workers 1', ...more, localAuthority({ http, https }, ca, NAME)));
  return { one, http, https };
}

/** Waits for a certificate that is served; gives its serial. */
async function served({ one, https }: Rig, before?: string): Promise<string> {
  const serial = await eventually(`a certificate of ${NAME}`, async () => {
    const [domain] = (await one.status()).domains;
    const [certificate] = domain?.certificates ?? [];
    return certificate?.serial !== before && certificate?.serial;
  });
  await eventually('it to be served', async () => (await getSecure(https, NAME)).serial === serial);
  return serial;
}

suite('a server', { concurrency: 2 }, () => {
  test('serves a fallback certificate and 503 until it has a certificate', async () => {
    await using one = new TestServer();
    const r = await rig(one, 'MDCAChallenges http-01', 'MDRetryDelay 1d');
    // The CA looks where nobody listens: there is no certificate to be had.
    one.configure(one.read('httpd.conf').replace(/LocalCAPorts .*/, 'LocalCAPorts http:1 https:1'));
    await one.start();
    for (const path of ['/', '/index.html', '/.well-known/nothing', '/nothing']) {
      const answer = await getSecure(r.https, NAME, path);
      assert.equal(answer.status, 503, path);
      assert.equal(answer.names, `DNS:${NAME}`);
    }
    assert.equal((await getPlain(r.http, NAME)).body, 'hello');
    const said = await eventually('the reason', async () => {
      const { stdout } = await one.run('status');
      // The next try has its time only once the failed one has ended.
      return stdout.includes('failed 1 time') && stdout.includes('tries again in') && stdout;
    });
    assert.match(said, /failing +- +- +tries again in/);
    assert.match(
      said,
      new RegExp(
        `failed 1 time, next try in \\d+ \\S+.*:\n +${NAME} .*connection refused.*\n +\\(urn:ietf:params:acme:error:connection\\)`,
        's',
      ),
    );
  });

  test('does not start on a store whose key is garbage, and leaves it alone', async () => {
    await using one = new TestServer();
    const r = await rig(one);
    for (const garbage of ['', '{"store":', '{"store":{"version":9.0},"key":"AAAA"}', '\0\xff']) {
      one.write('md/md_store.json', garbage);
      const { code, stderr } = await one.run('-k', 'start');
      assert.equal(code, 1);
      assert.match(stderr, /md_store\.json/);
      assert.equal(one.read('md/md_store.json'), garbage);
    }
    assert.deepEqual(one.processes(), []);
    assert.ok(await isClosed(r.http));
    assert.equal(existsSync(join(one.dir, 'logs/httpd.pid')), false);
  });

  test('outlives garbage in every other file of the store', async () => {
    await using one = new TestServer();
    const r = await rig(one);
    await one.start();
    const first = await served(r);
    await one.stop();

    const store = join(one.dir, 'md');
    one.write('md/httpd.json', 'garbage');
    for (const file of readdirSync(store, { recursive: true, encoding: 'utf8' })) {
      if (/^(domains|accounts|archive)\/.*\./.test(file) && !file.endsWith('localhost')) {
        if (/\.(json|pem)$/.test(file)) writeFileSync(join(store, file), `garbage in ${file}`);
      }
    }
    for (const file of ['md.json', 'job.json', 'order.json', 'account.json', 'account.pem', 'stray']) {
      one.write(`md/staging/${NAME}/${file}`, '{"garbage');
    }
    one.write(`md/challenges/${NAME}/acme-http-01.txt`, '');
    one.write('md/staging/not a name/md.json', '\0');
    one.write('md/ocsp/other/ocsp-garbage.json', '[');
    mkdirSync(join(store, 'domains/.hidden'));
    writeFileSync(join(store, 'domains/file'), '');

    await one.start();
    const { status, names } = await getSecure(r.https, NAME);
    assert.ok(status === 503 || status === 200);
    assert.equal(names, `DNS:${NAME}`);
    await served(r, first);
    assert.equal((await getSecure(r.https, NAME)).body, 'hello');
    assert.doesNotThrow(() => JSON.parse(one.read('md/httpd.json')) as unknown);
    assert.doesNotMatch(one.log(), /PRIVATE KEY/);
  });

  test('obtains anew at a reload what was damaged by hand since', async () => {
    await using one = new TestServer();
    const r = await rig(one);
    await one.start();
    const first = await served(r);
    one.write(`md/domains/${NAME}/pubcert.secp256r1.pem`, 'garbage');
    assert.equal((await one.run('-k', 'graceful')).code, 0);
    await served(r, first);
  });

  test('begins a renewal afresh when what is staged turns to garbage while it runs', async () => {
    await using one = new TestServer();
    const r = await rig(one);
    await one.start();
    const first = await served(r);
    for (const file of ['order.json', 'job.json', 'account.json', 'pubcert.secp256r1.pem']) {
      one.write(`md/staging/${NAME}/${file}`, 'garbage');
    }
    const { code, stderr } = await one.run('renew', NAME);
    assert.equal(code, 0, stderr);
    await served(r, first);
  });
});

/** Mounts a small filesystem; undefined where that can't be done. */
function smallDisk(dir: string, size: string): Disposable | undefined {
  mkdirSync(dir, { recursive: true });
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', dir]);
  return status === 0 ? { [Symbol.dispose]: () => void spawnSync('umount', ['-l', dir]) } : undefined;
}

const root = process.getuid?.() === 0 ? false : 'only root can mount a small disk';

suite('a full disk', { concurrency: 2, skip: root }, () => {
  test('fails a renewal in words, serves what there is, and is forgotten when there is room', async (t) => {
    await using one = new TestServer();
    using disk = smallDisk(join(one.dir, 'md'), '1m');
    if (!disk) return t.skip('no tmpfs can be mounted here');
    const r = await rig(one);
    await one.start();
    const first = await served(r);
    const filler = join(one.dir, 'md/filler');
    assert.throws(() => writeFileSync(filler, Buffer.alloc(2 ** 20)), { code: 'ENOSPC' });

    const renewal = await one.run('renew', NAME);
    assert.equal(renewal.code, 1);
    assert.match(renewal.stderr, /the disk is full.*next try/);
    assert.match((await one.run('status')).stdout, /renewal fails.*the disk is full/s);
    assert.equal((await getSecure(r.https, NAME)).serial, first);
    await one.run('-k', 'graceful');
    assert.equal((await getSecure(r.https, NAME)).serial, first);

    rmSync(filler);
    const again = await one.run('renew', NAME);
    assert.equal(again.code, 0, again.stderr);
    await served(r, first);
  });

  const skip = missing('unshare', 'nsenter', 'openssl') ?? false;
  test('under the certificate table costs time, and no handshake', { skip }, async (t) => {
    const [http = 0, https = 0] = await freePorts(2);
    await using one = new TestServer();
    one.write('htdocs/index.html', 'hello');
    const { cert, key } = selfSigned(one.dir, 'latchkey.test', 'rsa');
    // Files of their own, and so sets of their own.
    const names = Array.from({ length: 300 }, (_, n) => `host${n}.latchkey.test`);
    const host = (name: string) => {
      const [ownCert, ownKey] = [join(one.dir, `${name}.crt`), join(one.dir, `${name}.key`)];
      copyFileSync(cert, ownCert);
      copyFileSync(key, ownKey);
      return `<VirtualHost *:${https}>\nServerName ${name}\nTLSCertificate ${ownCert} ${ownKey}\n</VirtualHost>`;
    };
    const configuration = (count: number) =>
      server({ http, https }, 'Workers 2', ...names.slice(0, count).map(host));
    one.configure(configuration(1));
    // /dev/shm is a small one for this server alone.
    const script = 'mount -t tmpfs -o size=4m tmpfs /dev/shm || exit 77; exec "$0" "$@"';
    const start = [binary, '-d', one.dir, '-f', 'httpd.conf', '-k', 'start'];
    const started = await run('unshare', ['-m', 'sh', '-c', script, ...start], { env: one.env });
    if (started.code === 77) return t.skip('no tmpfs can be mounted here');
    assert.equal(started.code, 0, started.stderr);
    const within = (...args: string[]) =>
      run('nsenter', ['-t', String(one.pid), '-m', binary, '-d', one.dir, '-f', 'httpd.conf', ...args]);
    assert.equal((await getSecure(https, 'host0.latchkey.test')).body, 'hello');

    const filler = `/proc/${one.pid}/root/dev/shm/filler`;
    assert.throws(() => writeFileSync(filler, Buffer.alloc(4 * 2 ** 20)), { code: 'ENOSPC' });
    one.configure(configuration(names.length));
    assert.equal((await within('-k', 'graceful')).code, 0);
    await eventually('a full table', async () =>
      (await within('status')).stdout.includes('warning: the certificate table is full'),
    );
    for (const name of [...names.slice(0, 5), ...names.slice(-20)]) {
      assert.equal((await getSecure(https, name)).body, 'hello');
    }
    assert.equal(one.log().match(/certificate table is full/g)?.length, 1);

    rmSync(filler);
    assert.equal((await within('-k', 'graceful')).code, 0);
    await eventually('room in the table', async () => {
      const { stdout } = await within('status');
      return stdout.includes('managed domains') && !stdout.includes('table is full');
    });
  });
});
