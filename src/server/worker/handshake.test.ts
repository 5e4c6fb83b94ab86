import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, suite, test, type TestContext } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import { createAuthority } from '../../certificates/credentials.testing.ts';
import { MemoryTable } from '../../certificates/memory-table.ts';
import type { TableCertificate } from '../../certificates/table.ts';
import { loadConfiguration } from '../../config/load.ts';
import type { ClientHello } from '../../tls/clienthello.ts';
import { SecureContexts } from '../../tls/contexts.ts';
import type { Wanted } from '../calls.ts';
import { HandshakePlan, Handshakes } from './handshake.ts';

const AT = { localAddress: '127.0.0.1', localPort: 443 };
const HELLO = { sni: 'a.test', alpn: [] } as unknown as ClientHello;

let certificate: TableCertificate;
before(async () => {
  certificate = await (await createAuthority()).issue(['a.test']);
});

function plan(t: TestContext, ...lines: readonly string[]): HandshakePlan {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-handshake-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const host = ['<VirtualHost *:443>', 'ServerName a.test', 'SSLEngine on', ...lines, '</VirtualHost>'];
  const text = ['Listen 443', 'MDomain a.test', ...host].join('\n');
  writeFileSync(join(dir, 'httpd.conf'), text);
  const source = { serverRoot: dir, file: 'httpd.conf', defines: [], before: [], after: [] };
  const { settings } = loadConfiguration(source);
  return new HandshakePlan({ settings, setIds: [undefined, 'md:a.test'], clientCas: {}, ticketKeyFiles: {} });
}

/** Handshakes before an engine that answers as told; its table has nothing. */
function handshakes(t: TestContext, answer: () => Promise<Wanted>) {
  const clock = new TestClock();
  const table = new MemoryTable();
  const said: string[] = [];
  let asked = 0;
  const all = new Handshakes(
    {
      table: () => table,
      contexts: new SecureContexts(),
      challenges: undefined as never,
      names: undefined as never,
      want: () => {
        asked += 1;
        return answer();
      },
      clock,
      logger: { ...silent('ssl'), warn: (line) => void said.push(line) },
    },
    plan(t),
  );
  return { all, clock, table, said, asked: () => asked, select: async () => all.select(HELLO, AT) };
}

suite('a handshake for a host without a certificate', () => {
  test('asks the engine once, however many come, and again a second later', async (t) => {
    let problem = 'the key is not there';
    const { select, clock, said, asked } = handshakes(t, async () => ({ problem }));
    const all = async () => Promise.all(Array.from({ length: 20 }, select));
    for (const outcome of await all()) assert.equal(outcome.kind, 'refuse');
    await all();
    assert.equal(asked(), 1);
    assert.deepEqual(said, ['AH02639: no certificate to serve for a.test: the key is not there']);

    await clock.advance(1000);
    await all();
    assert.deepEqual([asked(), said.length], [2, 1]);
    problem = 'the disk is gone';
    await clock.advance(1000);
    await all();
    assert.deepEqual([asked(), said.length], [3, 2]);
  });

  test('is served as soon as the table has one, and a later trouble is told again', async (t) => {
    const { select, table, said, clock } = handshakes(t, async () => ({ problem: 'not yet' }));
    await select();
    table.put('md:a.test', { fallback: false, certificates: [certificate] });
    assert.equal((await select()).kind, 'serve');
    table.remove('md:a.test');
    await clock.advance(1000);
    await select();
    assert.equal(said.length, 2);
  });

  test('is refused where asking fails, and that is remembered as long', async (t) => {
    const { select, clock, asked } = handshakes(t, () => Promise.reject(new Error('no engine')));
    assert.equal((await select()).kind, 'refuse');
    await select();
    assert.equal(asked(), 1);
    await clock.advance(1000);
    await select();
    assert.equal(asked(), 2);
  });
});

suite('a certificate that the table has no room for', () => {
  test('is kept for some seconds, with the context made of it', async (t) => {
    const set = { fallback: false, certificates: [certificate] };
    const { all, select, clock, asked } = handshakes(t, async () => ({ set: { ...set } }));
    const context = async () => {
      const outcome = await select();
      assert.ok(outcome.kind === 'serve');
      return outcome.context;
    };
    const first = await context();
    assert.equal(await context(), first);
    assert.equal(asked(), 1);
    await clock.advance(10_000);
    const second = await context();
    assert.notEqual(second, first);
    all.forget('md:a.test');
    assert.notEqual(await context(), second);
    assert.equal(asked(), 3);
  });
});

test('a request that a reload overtakes is for a host whose certificate is no stopgap', (t) => {
  const { all } = handshakes(t, async () => ({ problem: 'none' }));
  const { host } = all.plan.hosts.forHandshake(AT.localAddress, AT.localPort, 'a.test');
  all.plan = plan(t);
  assert.equal(all.isFallback(host), false);
});

test('a handshake has the time of RequestReadTimeout, with its maximum and rate, else of Timeout', (t) => {
  const { all } = handshakes(t, async () => ({ problem: 'none' }));
  const time = (...lines: readonly string[]) => {
    all.plan = plan(t, ...lines);
    return all.timeout(AT.localAddress, AT.localPort);
  };
  assert.deepEqual(time('RequestReadTimeout handshake=5-20,MinRate=500'), {
    initial: 5000,
    max: 20_000,
    minRate: 500,
  });
  assert.equal(time().initial, 60_000);
  assert.equal(time('Timeout 7').initial, 7000);
  assert.ok(time('Timeout 0').initial > 0);
});
