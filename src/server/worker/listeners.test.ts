import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { suite, test, type TestContext } from 'node:test';
import { loadConfiguration } from '../../config/load.ts';
import type { Settings } from '../../config/settings.ts';
import { Listeners } from './listeners.ts';
import { freePorts } from '../../base/ports.testing.ts';

function settings(t: TestContext, ...listens: string[]): Settings {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-listen-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, 'httpd.conf'), listens.map((listen) => `Listen ${listen}\n`).join(''));
  const source = { serverRoot: dir, file: 'httpd.conf', defines: [], before: [], after: [] };
  return loadConfiguration(source).settings;
}

/** Listeners that tell who connects by what port they came to. */
function telling(t: TestContext): Listeners {
  const listeners = new Listeners((connection, listen) => {
    connection.toSocket().end(`port ${listen.port}`);
  });
  t.after(() => listeners.close());
  return listeners;
}

async function ask(port: number, host = '127.0.0.1'): Promise<string> {
  return text(connect({ port, host }));
}

async function refused(port: number, host = '127.0.0.1'): Promise<void> {
  await assert.rejects(ask(port, host), { code: 'ECONNREFUSED' });
}

suite('the listeners of a worker', () => {
  test('take connections when they are committed, on IPv4 and IPv6', async (t) => {
    const [port = 0] = await freePorts(1);
    const listeners = telling(t);
    await listeners.prepare(settings(t, `127.0.0.1:${port}`, `[::1]:${port}`));
    listeners.commit();
    assert.equal(await ask(port), `port ${port}`);
    assert.equal(await ask(port, '::1'), `port ${port}`);
    listeners.close();
    await refused(port);
  });

  test('take a port for every address together with one for IPv6 alone', async (t) => {
    const [every = 0, six = 0] = await freePorts(2);
    const listeners = telling(t);
    await listeners.prepare(settings(t, `${every}`, `0.0.0.0:${six}`, `[::]:${six}`));
    listeners.commit();
    for (const host of ['127.0.0.1', '::1']) {
      assert.equal(await ask(every, host), `port ${every}`);
      assert.equal(await ask(six, host), `port ${six}`);
    }
  });

  test('let who comes early wait for the commit', async (t) => {
    const [port = 0] = await freePorts(1);
    const listeners = telling(t);
    await listeners.prepare(settings(t, `127.0.0.1:${port}`));
    const early = connect({ port, host: '127.0.0.1' });
    await once(early, 'connect');
    const answer = text(early);
    await new Promise(setImmediate);
    listeners.commit();
    assert.equal(await answer, `port ${port}`);
  });

  test('keep a socket whose address stays, open the new, close the old', async (t) => {
    const [kept = 0, old = 0, fresh = 0] = await freePorts(3);
    const listeners = telling(t);
    await listeners.prepare(settings(t, `127.0.0.1:${kept}`, `127.0.0.1:${old}`));
    listeners.commit();
    await listeners.prepare(settings(t, `127.0.0.1:${fresh}`, `127.0.0.1:${kept}`));
    assert.equal(await ask(old), `port ${old}`);
    const waiting = connect({ port: kept, host: '127.0.0.1' });
    listeners.commit();
    assert.equal(await text(waiting), `port ${kept}`);
    assert.equal(await ask(fresh), `port ${fresh}`);
    await refused(old);
  });

  test('are as before when one address cannot be had, and say which and by what line', async (t) => {
    const [own = 0, fresh = 0, taken = 0] = await freePorts(3);
    const stranger = createServer().listen(taken, '127.0.0.1');
    await once(stranger, 'listening');
    t.after(() => stranger.close());
    const listeners = telling(t);
    await listeners.prepare(settings(t, `127.0.0.1:${own}`));
    listeners.commit();
    await assert.rejects(
      listeners.prepare(settings(t, `127.0.0.1:${fresh}`, `127.0.0.1:${own}`, `127.0.0.1:${taken}`)),
      {
        code: 'listen',
        message: new RegExp(
          `^AH00072: make_sock: could not bind to address 127\\.0\\.0\\.1:${taken} \\(.*/httpd\\.conf:3\\): \\(98\\)Address already in use`,
        ),
      },
    );
    await refused(fresh);
    assert.equal(await ask(own), `port ${own}`);
    listeners.commit();
    assert.equal(await ask(own), `port ${own}`);
  });

  test('name the other Listen line of ours that has the port', async (t) => {
    const [port = 0] = await freePorts(1);
    await assert.rejects(telling(t).prepare(settings(t, `127.0.0.1:${port}`, `${port}`)), {
      message: /\(98\)Address already in use: by Listen 127\.0\.0\.1:\d+ \(\S+httpd\.conf:1\); .*one of them/,
    });
    await assert.rejects(telling(t).prepare(settings(t, `${port}`, `127.0.0.1:${port}`)), {
      message: /by Listen \d+ \(\S+httpd\.conf:1\)/,
    });
  });

  test('say that an address is not this machine’s', async (t) => {
    const [port = 0] = await freePorts(1);
    await assert.rejects(telling(t).prepare(settings(t, `192.0.2.1:${port}`)), {
      message: /192\.0\.2\.1:\d+ .*\(99\)Cannot assign requested address/,
    });
  });

  test('rolled back, are as they were, and who came early is sent away', async (t) => {
    const [own = 0, fresh = 0] = await freePorts(2);
    const listeners = telling(t);
    await listeners.prepare(settings(t, `127.0.0.1:${own}`));
    listeners.commit();
    await listeners.prepare(settings(t, `127.0.0.1:${own}`, `127.0.0.1:${fresh}`));
    const early = connect({ port: fresh, host: '127.0.0.1' });
    await once(early, 'connect');
    listeners.rollback();
    await text(early).catch(() => {});
    await refused(fresh);
    assert.equal(await ask(own), `port ${own}`);
  });
});
