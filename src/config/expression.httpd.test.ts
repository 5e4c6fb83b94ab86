/** The table of ./expression.testing.ts, put to Apache itself. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cases, refused, request } from './expression.testing.ts';
import { freePort } from '../base/ports.testing.ts';

const run = promisify(execFile);
const program = ['/usr/sbin/apache2', '/usr/sbin/httpd'].find(existsSync);
const modules = '/usr/lib/apache2/modules';
const skip =
  program && existsSync(join(modules, 'mod_headers.so'))
    ? false
    : 'apache2 is not installed (Debian: apache2)';

test('Apache decides every expression of the table alike', { skip }, async (t) => {
  const server = await serve(t, cases.map(([source], index) => section(source, `R-${index}`)).join(''));
  const headers = await answer(server);
  const differing = cases.filter(([, expected], index) => (headers[`r-${index}`] === '1') !== expected);
  assert.deepEqual(differing, []);
});

test('Apache refuses what is refused here', { skip }, async (t) => {
  const root = await folder(t);
  const accepted: string[] = [];
  for (const source of refused) {
    await writeFile(join(root, 'httpd.conf'), configuration(root, 1) + section(source, 'R'));
    const ok = await run(`${program}`, ['-d', root, '-f', 'httpd.conf', '-t']).then(
      () => true,
      () => false,
    );
    if (ok) accepted.push(source);
  }
  assert.deepEqual(accepted, []);
});

function section(source: string, header: string): string {
  const quoted = source.replaceAll(/\\(?=["\\])/g, '\\\\').replaceAll('"', '\\"');
  return `<If "${quoted}">\nHeader set ${header} 1\n</If>\n`;
}

function configuration(root: string, port: number): string {
  const load = (name: string, file = name) => `LoadModule ${name}_module ${modules}/mod_${file}.so\n`;
  return `ServerRoot ${root}\nServerName t.example\nPidFile ${root}/pid\nErrorLog ${root}/error_log
Listen 127.0.0.1:${port}\nDocumentRoot ${root}/www\n${process.getuid?.() === 0 ? 'User nobody' : ''}
${load('mpm_event')}${load('authz_core')}${load('headers')}${load('setenvif')}SetEnvIf Host . foo=bar\n`;
}

async function folder(t: test.TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'latchkey-expression-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  await chmod(root, 0o755);
  await mkdir(join(root, 'www'));
  await writeFile(join(root, 'www/index.html'), 'x');
  return root;
}

async function serve(t: test.TestContext, body: string): Promise<Served> {
  const root = await folder(t);
  const port = await freePort();
  await writeFile(join(root, 'httpd.conf'), configuration(root, port) + body);
  // One process, so that ending it ends all.
  const child = spawn(`${program}`, ['-X', '-d', root, '-f', 'httpd.conf'], { stdio: 'inherit' });
  const ended = new Promise((resolve) => child.once('close', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { port, ended };
}

interface Served {
  readonly port: number;
  readonly ended: Promise<unknown>;
}

async function answer({ port, ended }: Served): Promise<http.IncomingHttpHeaders> {
  let gone = false;
  void ended.then(() => (gone = true));
  for (;;) {
    assert.ok(!gone, 'apache2 ended');
    const response = await ask(port).catch(() => undefined);
    if (response) return response.resume().headers;
    await delay(20);
  }
}

function ask(port: number): Promise<http.IncomingMessage> {
  const { host: Host, ...others } = request.headers;
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', path: '/index.html?q=1', headers: { Host, ...others } };
    http.get(options, resolve).once('error', reject);
  });
}
