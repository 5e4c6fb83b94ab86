import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { suite, test, type TestContext } from 'node:test';
import { tokenDigest } from '../../base/bearer.ts';
import { AddedError } from '../../domains/stored/added.ts';
import { freePorts } from '../../../test/latchkey.testing.ts';
import { ControlServer, type ControlHandlers } from './control-server.ts';

const honest: ControlHandlers = {
  status: async () => ({ version: 'x' }),
  doctor: async (name) => ({ name, findings: [] }),
  renew: async (name, report) => {
    report({ step: 'order', detail: `ordering ${name}` });
    return { outcome: 'served', detail: 'serial 1' };
  },
  domains: () => [{ name: 'a.example.org' }],
  add: async ([name = '']) => {
    if (name === 'bad') throw new AddedError('added-bad-name', 'bad is bad');
    if (name === 'taken') throw new AddedError('added-taken', 'taken is taken');
    if (name === 'busy') throw new AddedError('added-busy', 'another server is at it');
    return name;
  },
  remove: async () => {
    throw new AddedError('added-unknown', 'nobody added it');
  },
  flush: async (name) => (name === 'a.example.org' ? undefined : 'there is nothing'),
};

async function listening(t: TestContext, handlers: Partial<ControlHandlers> = {}): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-control-'));
  const path = join(dir, 'control.sock');
  const server = await ControlServer.listen(path, { ...honest, ...handlers });
  t.after(async () => {
    await server[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  return path;
}

async function ask(socketPath: string, method: string, path: string, body = '') {
  const asking = request({ socketPath, method, path }).end(body);
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: await text(response) };
}

suite('the control socket', () => {
  test('is for its user alone, and takes the place of one that a crash left', async (t) => {
    const path = await listening(t);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const dir = mkdtempSync(join(tmpdir(), 'latchkey-control-'));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const stale = join(dir, 'control.sock');
    writeFileSync(stale, '');
    await (await ControlServer.listen(stale, honest))[Symbol.asyncDispose]();
    assert.throws(() => statSync(stale), { code: 'ENOENT' });
  });

  test('lists, adds, removes and flushes domains, and says what is wrong with a request', async (t) => {
    const added: (readonly string[])[] = [];
    const path = await listening(t, {
      add: (names) => {
        added.push(names);
        return honest.add(names);
      },
    });
    const status = async (...question: [method: string, path: string, body?: string]) =>
      (await ask(path, ...question)).status;
    assert.equal((await ask(path, 'GET', '/domains')).body, '[{"name":"a.example.org"}]\n');
    assert.equal(await status('PUT', '/domains/a.example.org'), 200);
    assert.equal(await status('PUT', '/domains/a.example.org', '{"names":["b.example.org"]}'), 200);
    assert.deepEqual(added, [['a.example.org'], ['a.example.org', 'b.example.org']]);
    assert.equal(await status('PUT', '/domains/bad'), 400);
    assert.equal(await status('PUT', '/domains/taken'), 409);
    assert.equal(await status('PUT', '/domains/busy'), 503);
    for (const body of ['{', '{"names":"a"}', '{"names":[1]}', 'null']) {
      assert.equal(await status('PUT', '/domains/a.example.org', body), 400, body);
    }
    assert.equal(await status('PUT', '/domains/%zz'), 400);
    assert.equal(await status('DELETE', '/domains/x'), 404);
    assert.equal(await status('POST', '/flush/a.example.org'), 200);
    assert.match((await ask(path, 'POST', '/flush/x')).body, /there is nothing/);
    await assert.rejects(ask(path, 'PUT', '/domains/a.example.org', 'x'.repeat(100_000)));
    assert.equal(added.length, 5);
  });

  test('at an address of the loopback wants the token', async (t) => {
    const [port = 0] = await freePorts(1);
    const server = await ControlServer.listen(
      { address: '127.0.0.1', port, tokenDigest: tokenDigest('secret') },
      honest,
    );
    t.after(() => server[Symbol.asyncDispose]());
    const url = `http://127.0.0.1:${port}/domains`;
    for (const authorization of ['', 'Bearer wrong', 'secret']) {
      const refused = await fetch(url, { headers: { authorization } });
      assert.equal(refused.status, 401);
      assert.doesNotMatch(await refused.text(), /a\.example\.org/);
    }
    const { status } = await fetch(url, { headers: { authorization: 'Bearer secret' } });
    assert.equal(status, 200);
    // A page whose name was made to lead here, or that sends a form here, gets nothing: nor may it ask to send a token.
    const pages = [
      { method: 'GET', headers: { host: `evil.example:${port}`, authorization: 'Bearer secret' } },
      { method: 'POST', headers: { origin: 'http://evil.example', 'content-type': 'text/plain' } },
      {
        method: 'OPTIONS',
        headers: { origin: 'http://evil.example', 'access-control-request-method': 'PUT' },
      },
    ];
    const statuses: unknown[] = [];
    for (const page of pages) {
      const asking = request({ port, path: '/domains', ...page }).end();
      const [response] = (await once(asking, 'response')) as [IncomingMessage];
      assert.doesNotMatch(await text(response), /a\.example\.org/);
      assert.equal(response.headers['access-control-allow-origin'], undefined);
      statuses.push(response.statusCode);
    }
    assert.deepEqual(statuses, [403, 401, 401]);
  });

  test('gives the status, and streams a renewal', async (t) => {
    const path = await listening(t);
    assert.deepEqual(await ask(path, 'GET', '/status'), { status: 200, body: '{"version":"x"}\n' });
    const asked: unknown[] = [];
    const choosing = await listening(t, { status: async (query) => asked.push(query) });
    await ask(choosing, 'GET', '/status');
    await ask(choosing, 'GET', '/status?show=failing&limit=5');
    assert.deepEqual(asked, [undefined, { show: 'failing', limit: 5 }]);
    assert.equal((await ask(choosing, 'GET', '/status?show=nothing')).status, 400);
    const { body } = await ask(path, 'POST', `/renew/${encodeURIComponent('a.example.org')}`);
    assert.deepEqual(
      body
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
      [
        { step: 'order', detail: 'ordering a.example.org' },
        { outcome: 'served', detail: 'serial 1' },
      ],
    );
  });

  test('answers what it does not know, garbage and faults, and goes on', async (t) => {
    const path = await listening(t, {
      status: () => Promise.reject(new Error('no status today')),
      renew: () => Promise.reject(new Error('the engine is closed')),
    });
    for (const [method, target] of [
      ['GET', '/'],
      ['GET', '/nothing'],
      ['GET', '/status/more'],
      ['GET', '/renew/a.example.org'],
      ['POST', '/renew/a/b'],
      ['POST', '/renew/'],
      ['DELETE', '/status'],
    ] as const) {
      assert.equal((await ask(path, method, target)).status, 404, `${method} ${target}`);
    }
    assert.equal((await ask(path, 'GET', '/%E0%A4%A')).status, 400);
    const status = await ask(path, 'GET', '/status');
    assert.ok(status.status === 500 && status.body.includes('no status today'));
    assert.match((await ask(path, 'POST', '/renew/a')).body, /"outcome":"failed".*the engine is closed/);
    const garbage = connect(path, () => garbage.write('\0\x16\x03 garbage\r\n\r\n'));
    await text(garbage);
    assert.equal((await ask(path, 'GET', '/nothing')).status, 404);
  });

  test('tells a renewal when nobody waits for it any more', async (t) => {
    const { promise: told, resolve } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const path = await listening(t, {
      renew: async (_name, report, signal) => {
        report({ step: 'order', detail: 'waiting' });
        signal.addEventListener('abort', () => resolve());
        begin();
        await told;
        return { outcome: 'failed', detail: 'nobody waits' };
      },
    });
    const asking = request({ socketPath: path, method: 'POST', path: '/renew/a' });
    asking.on('error', () => {}).end();
    await begun;
    asking.destroy();
    await told;
  });
});
