/** Foreign backends that speak HTTP/2 without TLS: Apache's mod_http2 and Caddy. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ask, startFront } from './proxy.testing.ts';
import type { Front } from './proxy.testing.ts';
import { freePort } from '../../base/ports.testing.ts';

const MODULES = '/usr/lib/apache2/modules';

const backends = [
  {
    name: 'Apache',
    command: 'apache2',
    needs: ['/usr/sbin/apache2', `${MODULES}/mod_http2.so`],
    file: 'apache.conf',
    args: (file: string) => ['-f', file, '-DFOREGROUND'],
    text: (dir: string, port: number) => `ServerRoot ${dir}
LoadModule mpm_event_module ${MODULES}/mod_mpm_event.so
LoadModule authz_core_module ${MODULES}/mod_authz_core.so
LoadModule http2_module ${MODULES}/mod_http2.so
LoadModule headers_module ${MODULES}/mod_headers.so
PidFile ${dir}/apache.pid
ErrorLog ${dir}/apache.log
ServerName localhost
Listen 127.0.0.1:${port}
Protocols h2c
DocumentRoot ${dir}/files
Header set X-Protocol "expr=%{SERVER_PROTOCOL}"
`,
  },
  {
    name: 'Caddy',
    command: 'caddy',
    needs: ['/usr/bin/caddy'],
    file: 'Caddyfile',
    args: (file: string) => ['run', '--adapter', 'caddyfile', '--config', file],
    text: (dir: string, port: number) => `{
  admin off
  auto_https off
  storage file_system ${dir}/caddy
  servers {
    protocols h1 h2c
  }
}
http://:${port} {
  bind 127.0.0.1
  root * ${dir}/files
  header X-Protocol {http.request.proto}
  file_server
}
`,
  },
] as const;

async function start(t: TestContext, backend: (typeof backends)[number], large: Buffer): Promise<Front> {
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-h2c-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, 'files'), { mode: 0o755 });
  await writeFile(join(dir, 'files/large.bin'), large);
  const port = await freePort();
  await writeFile(join(dir, backend.file), backend.text(dir, port));
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin`, HOME: dir };
  const child = spawn(backend.command, backend.args(join(dir, backend.file)), { stdio: 'ignore', env });
  const ended = new Promise((resolve) => child.once('close', resolve));
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const front = await startFront(t, { to: `h2c://127.0.0.1:${port}` });
  // Nobody listens yet.
  while ((await ask(`${front.url}/none`)).status === 502 && child.exitCode === null);
  return front;
}

for (const backend of backends) {
  const lacking = backend.needs.find((path) => !existsSync(path));
  const skip = lacking === undefined ? false : `${lacking} is not installed`;
  test(`${backend.name} over h2c: files, ranges, unwanted uploads, all at once`, { skip }, async (t) => {
    const large = Buffer.from(randomBytes(1024 * 1024).toString('hex'));
    const front = await start(t, backend, large);
    const all = await Promise.all(Array.from({ length: 20 }, () => ask(`${front.url}/large.bin`)));
    for (const { status, body, headers } of all) {
      assert.equal(status, 200);
      assert.equal(headers['x-protocol'], 'HTTP/2.0');
      assert.ok(Buffer.from(body).equals(large));
    }
    const part = await ask(`${front.url}/large.bin`, { headers: { Range: 'bytes=5-9' } });
    assert.deepEqual([part.status, part.body], [206, large.toString('latin1', 5, 10)]);
    assert.equal((await ask(`${front.url}/large.bin`, { method: 'HEAD' })).body, '');
    assert.equal((await ask(`${front.url}/none`)).status, 404);
    const refused = await ask(`${front.url}/large.bin`, { method: 'PUT' }, 'x'.repeat(200_000));
    // Caddy's file server answers PUT like GET.
    assert.ok([200, 405].includes(refused.status), `${refused.status}`);
    assert.equal((await ask(`${front.url}/large.bin`)).body.length, large.length);
  });
}
