import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'node:tls';
import { TestClock } from '../base/clock.testing.ts';
import { systemClock } from '../base/clock.ts';
import { silent } from '../base/log.ts';
import { certificateKey, settingsFor, startCa, temporary, TestClient, withoutIpv6 } from './ca.testing.ts';
import type { TestCa } from './ca.testing.ts';
import { startDns } from './dns.testing.ts';
import { startLocalCa } from './server.ts';

test('its own certificate is good for localhost, the loopback addresses and by its root alone', async (t) => {
  const ca = await startCa(t);
  const port = Number(new URL(ca.base).port);
  for (const servername of ['localhost', '']) {
    const socket = connect({ port, host: '127.0.0.1', servername, ca: ca.rootPem });
    await once(socket, 'secureConnect');
    const names = socket.getPeerX509Certificate()?.subjectAltName;
    assert.equal(names, 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
    socket.destroy();
  }
});

test('its own certificate is renewed while it runs', async (t) => {
  const clock = new TestClock(Date.now());
  const ca = await startCa(t, { clock });
  const shown = async () => {
    const socket = connect({
      port: Number(new URL(ca.base).port),
      host: '127.0.0.1',
      rejectUnauthorized: false,
    });
    await once(socket, 'secureConnect');
    const { serialNumber } = socket.getPeerX509Certificate() ?? {};
    socket.destroy();
    return serialNumber;
  };
  const before = await shown();
  await clock.advance(21 * 86_400_000);
  for (let tries = 0; tries < 3000 && (await shown()) === before; tries++) await systemClock.sleep(10);
  assert.notEqual(await shown(), before);
});

test('IPv6 is an address like others', { skip: withoutIpv6 }, async (t) => {
  const ca = await startCa(t, { address: '::1' });
  assert.match(ca.directoryUrl, /^https:\/\/\[::1\]:\d+\/directory$/);
  assert.equal((await new TestClient(ca).request(ca.directoryUrl)).status, 200);
});

test('a port in use is said, and the state is not touched', async (t) => {
  const ca = await startCa(t);
  const port = Number(new URL(ca.base).port);
  const part = join(ca.dir, 'acme', 'orders', '.x.json.0123456789ab.part');
  await writeFile(part, '{');
  const second = startLocalCa(settingsFor(ca.dir, { port }), { clock: systemClock, loggers: silent });
  const message = new RegExp(`127\\.0\\.0\\.1:${port}: another program has that port`);
  await assert.rejects(second, { code: 'ca-listen', message });
  assert.equal((await readdir(join(ca.dir, 'acme', 'orders'))).length, 1);
});

for (const [address, message] of [
  ['0.0.0.0', /needs an address clients can go to/],
  ['::', /needs an address clients can go to/],
  ['somewhere', /needs an address/],
  ['192.0.2.1', /no such address/],
] as const) {
  test(`it does not listen on ${address}`, async (t) => {
    await assert.rejects(startCa(t, { address }), { code: 'ca-listen', message });
  });
}

test('it ends when told to by signal, and can be ended twice', async (t) => {
  const dir = await temporary(t);
  const stop = new AbortController();
  const options = { clock: systemClock, loggers: silent, signal: stop.signal };
  const ca = await startLocalCa(settingsFor(dir), options);
  stop.abort();
  await ca.close();
  await assert.rejects(fetch(ca.directoryUrl), /fetch failed/);
  await assert.rejects(startLocalCa(settingsFor(dir), options), { name: 'AbortError' });
});

test('a wildcard is proved by DNS', async (t) => {
  const dns = await startDns(t);
  const client = new TestClient(await startCa(t, { resolver: dns.server }));
  await client.register();
  const order = await client.order('*.example.org');
  const proved = await client.prove(order.json.authorizations[0], 'dns-01', (_, keyAuthorization, name) => {
    const digest = createHash('sha256').update(keyAuthorization).digest('base64url');
    dns.records.set(`TXT _acme-challenge.${name}`, [digest]);
  });
  assert.equal(proved.json.status, 'valid');
  const { json } = await client.finalize(order, ['*.example.org']);
  const leaf = new X509Certificate((await client.post(json.certificate)).text);
  assert.equal(leaf.subjectAltName, 'DNS:*.example.org');
});

// ---- kill -9

interface Served {
  readonly ca: TestCa;
  kill(): Promise<void>;
}

/** A CA process; kill() is SIGKILL. */
async function serve(t: TestContext, dir: string, port: number, httpPort: number): Promise<Served> {
  const settings = JSON.stringify(settingsFor(dir, { port, httpPort }));
  const script = join(import.meta.dirname, 'serve.testing.ts');
  const child = spawn(process.execPath, ['--disable-sigusr1', script, settings], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  t.after(kill);
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const known = JSON.parse(line) as { directoryUrl: string; rootPem: string };
  const base = known.directoryUrl.replace(/\/directory$/, '');
  return { ca: { ...known, dir, base, close: kill, [Symbol.asyncDispose]: kill }, kill };
}

test('killed at any step, it goes on with the same account and order, and root', async (t) => {
  const dir = await temporary(t);
  const answers = new Map<string, string>();
  const web = createServer((request, response) =>
    response.end(answers.get(request.url?.split('/').at(-1) ?? '')),
  );
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  t.after(() => web.close());
  const { port: httpPort } = web.address() as AddressInfo;

  let served = await serve(t, dir, 0, httpPort);
  const port = Number(new URL(served.ca.base).port);
  const key = certificateKey();
  let client = new TestClient(served.ca, key);
  await client.register();
  const { kid } = client;
  const crash = async () => {
    await served.kill();
    const { rootPem } = served.ca;
    served = await serve(t, dir, port, httpPort);
    assert.equal(served.ca.rootPem, rootPem);
    client = new TestClient(served.ca, key);
    client.kid = kid;
  };

  await crash();
  const order = await client.order('a.localhost');
  await crash();
  assert.equal((await client.post(order.url)).json.status, 'pending');
  const [authorization] = order.json.authorizations;
  const { challenges } = (await client.post(authorization)).json;
  const { url, token } = challenges.find((one: { type: string }) => one.type === 'http-01');
  answers.set(token, await client.keyAuthorization(token));
  await client.post(url, {});
  await crash();
  // Whether the answer had come or not: asking again is harmless, and takes it up at once.
  await client.post(url, {});
  assert.equal((await client.settled(authorization)).json.status, 'valid');
  await crash();
  assert.equal((await client.post(order.url)).json.status, 'ready');
  assert.equal((await client.finalize(order, ['a.localhost'])).json.status, 'valid');
  await crash();
  const { json } = await client.post(order.url);
  assert.equal(json.status, 'valid');
  assert.equal((await client.post(json.certificate)).status, 200);
});

test('a validation that was cut off is taken up again without being asked', async (t) => {
  const dir = await temporary(t);
  const clock = new TestClock(Date.now());
  let hold = true;
  const web = createServer((_, response) => {
    if (!hold) response.end(answer);
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  t.after(() => {
    web.closeAllConnections();
    web.close();
  });
  const { port: httpPort } = web.address() as AddressInfo;
  const first = await startCa(t, { dir, httpPort, clock });
  const client = new TestClient(first);
  await client.register();
  const order = await client.order('a.localhost');
  const [authorization] = order.json.authorizations;
  const { challenges } = (await client.post(authorization)).json;
  const { url, token } = challenges.find((one: { type: string }) => one.type === 'http-01');
  const answer = await client.keyAuthorization(token);
  const taken = client.post(url, {});
  await once(web, 'request');
  await clock.advance(1000);
  assert.equal((await taken).json.status, 'processing');
  await first.close();
  hold = false;
  const second = await startCa(t, { dir, httpPort, clock, port: Number(new URL(first.base).port) });
  const again = new TestClient(second, client.key);
  again.kid = client.kid;
  assert.match((await again.post(authorization)).headers.get('retry-after') ?? '', /1/);
  await clock.advance(5000);
  assert.equal((await again.settled(authorization)).json.status, 'valid');
});

// ---- raw peers

/** What is answered to bytes that are no client's, until the connection ends (or `enough` has come). */
async function raw(ca: TestCa, bytes: string, enough?: RegExp): Promise<string> {
  const socket = connect({ port: Number(new URL(ca.base).port), host: '127.0.0.1', ca: ca.rootPem });
  socket.on('error', () => {});
  socket.write(bytes);
  let text = '';
  for await (const part of socket as AsyncIterable<Buffer>) {
    text += part.toString('latin1');
    if (enough?.test(text)) break;
  }
  socket.destroy();
  return text;
}

const head = 'POST /new-account HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose+json\r\n';

for (const [what, bytes, answer] of [
  ['announces a large body', `${head}Content-Length: 100000000\r\n\r\n`, /^HTTP\/1\.1 413 /],
  [
    'sends a large body in chunks',
    `${head}Transfer-Encoding: chunked\r\n\r\n${`4000\r\n${'x'.repeat(0x4000)}\r\n`.repeat(5)}`,
    /^HTTP\/1\.1 413 /,
  ],
  [
    'sends a large header',
    `GET /directory HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
    /^HTTP\/1\.1 431 /,
  ],
  ['speaks something else', 'EHLO example.org\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['names no host', 'GET /directory HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['names a host that is none', 'GET /directory HTTP/1.1\r\nHost: a b/c?d\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['smuggles', `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, /^HTTP\/1\.1 400 /],
] as const) {
  test(`a peer that ${what} is refused, and the next is served`, async (t) => {
    const ca = await startCa(t);
    assert.match(await raw(ca, bytes, answer), answer);
    assert.equal((await new TestClient(ca).request(ca.directoryUrl)).status, 200);
  });
}

test('closing does not wait for a peer that sends its body slowly', async (t) => {
  const ca = await startCa(t);
  const slow = raw(ca, `${head}Content-Length: 100\r\n\r\n{`);
  await new TestClient(ca).request(ca.directoryUrl);
  await ca.close();
  assert.equal(await slow, '');
});

test('ten thousand nonces that nobody uses cost nobody the order', async (t) => {
  const ca = await startCa(t);
  const client = new TestClient(ca);
  const lines = 'HEAD /new-nonce HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(99);
  const last = 'HEAD /new-nonce HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
  const nonces = new Set<string>();
  // Ten connections at a time: the CA gives up on those whose requests take it too long.
  for (let round = 0; round < 10; round++) {
    const floods = await Promise.all(Array.from({ length: 10 }, () => raw(ca, lines + last)));
    for (const text of floods) for (const nonce of text.match(/replay-nonce: \S+/gi) ?? []) nonces.add(nonce);
  }
  assert.equal(nonces.size, 10_000);
  assert.equal((await client.register()).status, 201);
});
