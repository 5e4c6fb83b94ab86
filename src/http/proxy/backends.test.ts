import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask, listen, startFront } from './proxy.testing.ts';

const openssl = ['/usr/bin/openssl', '/usr/local/bin/openssl'].find(existsSync);

test(
  'https backends are verified by the name in their URL',
  { skip: openssl ? false : 'openssl is not installed' },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'latchkey-proxy-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    execFileSync(
      `${openssl}`,
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=localhost',
        '-addext',
        'subjectAltName=DNS:localhost',
        '-keyout',
        key,
        '-out',
        cert,
      ],
      { stdio: 'ignore' },
    );
    const pem = await readFile(cert, 'utf8');
    const server = https.createServer({ key: await readFile(key), cert: pem }, (request, response) =>
      response.end(request.headers.host),
    );
    const port = await listen(t, server);
    const preserving = { directory: { proxyPreserveHost: true } };
    const good = await startFront(t, { to: `https://localhost:${port}`, roots: [pem], host: preserving });
    assert.equal((await ask(good.url, { headers: { Host: 'www.example' } })).body, 'www.example');
    const unknown = await startFront(t, { to: `https://localhost:${port}` });
    assert.equal((await ask(unknown.url)).status, 502);
    assert.match(
      unknown.log.join('\n'),
      /AH00898: Error during SSL Handshake with remote server localhost:\d+ returned by \//,
    );
    const misnamed = await startFront(t, { to: `https://127.0.0.1:${port}`, roots: [pem] });
    assert.equal((await ask(misnamed.url)).status, 502);
  },
);

const nginx = ['/usr/sbin/nginx', '/usr/local/nginx/sbin/nginx'].find(existsSync);

test(
  'nginx as a backend: ranges, compression, keep-alive',
  { skip: nginx ? false : 'nginx is not installed' },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'latchkey-proxy-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, 'file.txt'), 'latchkey '.repeat(10_000));
    const holder = http.createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, '127.0.0.1', () => {
        const address = holder.address();
        holder.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
      });
    });
    await writeFile(
      join(folder, 'nginx.conf'),
      `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log; events {}
     http { access_log off; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c;
     uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e; default_type text/plain; gzip on; gzip_proxied any; gzip_types text/plain;
     server { listen 127.0.0.1:${port}; root ${folder}; } }`,
    );
    const child = spawn(
      `${nginx}`,
      ['-c', join(folder, 'nginx.conf'), '-p', folder, '-e', join(folder, 'error.log')],
      { stdio: 'ignore' },
    );
    const ended = new Promise((resolve) => child.once('close', resolve));
    t.after(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const front = await startFront(t, { to: `http://127.0.0.1:${port}` });
    let whole = await ask(`${front.url}/file.txt`);
    while (whole.status === 502 && child.exitCode === null) whole = await ask(`${front.url}/file.txt`);
    assert.equal(whole.body.length, 90_000);
    const part = await ask(`${front.url}/file.txt`, { headers: { Range: 'bytes=9-16' } });
    assert.deepEqual(
      [part.status, part.body, part.headers['content-range']],
      [206, 'latchkey', 'bytes 9-16/90000'],
    );
    const packed = await ask(`${front.url}/file.txt`, { headers: { 'Accept-Encoding': 'gzip' } });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    const unchanged = await ask(`${front.url}/file.txt`, {
      headers: { 'If-None-Match': `${whole.headers.etag}` },
    });
    assert.equal(unchanged.status, 304);
    assert.equal((await ask(`${front.url}/none`)).status, 404);
  },
);
