/** Which certificate a handshake gets where there are files, managed domains and a store. */
import assert from 'node:assert/strict';
import type { SecureContext } from 'node:tls';
import { before, suite, test, type TestContext } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import { createAuthority } from '../../certificates/credentials.testing.ts';
import { MemoryTable } from '../../certificates/memory-table.ts';
import type { TableCertificate } from '../../certificates/table.ts';
import { load } from '../../config/config.testing.ts';
import type { ClientHello } from '../../tls/clienthello.ts';
import { SecureContexts } from '../../tls/contexts.ts';
import type { Sought } from '../../certificates/sources/dynamic.ts';
import { Names } from '../../certificates/sources/names.ts';
import { HandshakePlan, Handshakes } from './handshake.ts';

const AT = { localAddress: '127.0.0.1', localPort: 443, remoteAddress: '192.0.2.1' };

let certificate: TableCertificate;
before(async () => {
  certificate = await (await createAuthority()).issue(['a.test']);
});

/** Remembers whose certificates a context is of. */
class OwnedContexts extends SecureContexts {
  readonly owners = new WeakMap<SecureContext, string>();

  override serving(...made: Parameters<SecureContexts['serving']>): ReturnType<SecureContexts['serving']> {
    const serving = super.serving(...made);
    return {
      ...serving,
      forClient: (...client) => {
        const served = serving.forClient(...client);
        this.owners.set(served.context, made[2]);
        return served;
      },
    };
  }
}

const host = (name: string, more = '') =>
  `<VirtualHost *:443>\nServerName ${name}\n${more}\n</VirtualHost>\n`;

/** Hosts: one with files, one of a managed domain, one with neither, and the one that stands in, whose SNI is strict. */
function handshakes(t: TestContext, answer: (name: string) => Sought = () => ({ kind: 'none', life: 1000 })) {
  const files = { 'own.pem': 'x', 'fallback.pem': 'x' };
  const text = `Listen 443
TLSEngine 443
TLSStrictSNI on
DynSSLEnable on
DynSSLStoreURL http://localhost/certs
MDomain managed.test
${host('own.test', 'TLSCertificate own.pem')}${host('managed.test')}${host('bare.test')}
${host('_default_', 'TLSCertificate fallback.pem')}`;
  const settings = load(t, text, { files });
  const setIds = [undefined, 'file:own', 'md:managed.test', undefined, 'file:fallback'];
  const plan = new HandshakePlan({ settings, setIds, clientCas: {}, ticketKeyFiles: {} });
  const clock = new TestClock(Date.now());
  const table = new MemoryTable();
  const put = (id: string) => table.put(id, { fallback: false, certificates: [certificate] });
  for (const id of setIds) if (id !== undefined) put(id);
  const asked: string[] = [];
  const contexts = new OwnedContexts();
  const seek = async ({ name }: { readonly name: string }) => {
    asked.push(name);
    return answer(name);
  };
  const all = new Handshakes(
    {
      table: () => table,
      contexts,
      challenges: undefined as never,
      names: new Names({ table: () => table, seek, used: async () => {}, clock }),
      want: async () => ({ problem: 'not in this test' }),
      clock,
      logger: silent('ssl'),
    },
    plan,
  );
  const [store = { id: '' }] = settings.dynamic.stores;
  return {
    clock,
    asked,
    table,
    /** Puts a set that the store gave, and leads names to it. */
    keep: (...names: string[]) => {
      const id = `dyn:${store.id}:${names[0]}`;
      put(id);
      table.point(store.id, names, id);
      return id;
    },
    /** Id of the set that is served, or the alert. */
    shown: async (sni: string | undefined) => {
      const outcome = await all.select({ sni, alpn: [] } as unknown as ClientHello, AT);
      if (outcome.kind === 'refuse') return outcome.alert;
      return contexts.owners.get(outcome.context);
    },
  };
}

suite('a name is served with', () => {
  test('its host’s files, or those of its managed domain, whatever the store has', async (t) => {
    const { shown, keep, asked } = handshakes(t);
    keep('own.test', 'managed.test');
    assert.equal(await shown('own.test'), 'file:own');
    assert.equal(await shown('managed.test'), 'md:managed.test');
    assert.deepEqual(asked, []);
  });

  test('the store’s certificate, by itself or a wildcard, in any case of letters', async (t) => {
    const { shown, keep, asked } = handshakes(t);
    const id = keep('a.test', '*.a.test');
    assert.equal(await shown('a.test'), id);
    assert.equal(await shown('WWW.A.test.'), id);
    assert.equal(await shown('bare.test'), 'unrecognized_name');
    keep('bare.test');
    assert.match((await shown('bare.test')) ?? '', /^dyn:.*:bare\.test$/);
    assert.deepEqual(asked, ['bare.test']);
  });

  test('what the engine has fetched, in the table or outside of it', async (t) => {
    const set = { fallback: false, certificates: [certificate] };
    const here = handshakes(t, (name) => {
      return name === 'a.test' ? { kind: 'stored', id: here.keep(name) } : { kind: 'set', id: 'dyn:x', set };
    });
    assert.match((await here.shown('a.test')) ?? '', /^dyn:.*:a\.test$/);
    assert.equal(await here.shown('b.test'), 'dyn:x');
    assert.deepEqual(here.asked, ['a.test', 'b.test']);
  });

  test('the fallback where there is nothing, strict SNI or not; what is no name is not asked for', async (t) => {
    const { shown, asked } = handshakes(t);
    assert.equal(await shown('unknown.test'), 'file:fallback');
    for (const odd of [
      undefined,
      '192.0.2.1',
      '*.test',
      'a..test',
      'a/../b',
      'ä.test',
      `${'a'.repeat(300)}.test`,
    ]) {
      assert.equal(await shown(odd), 'file:fallback', odd);
    }
    assert.deepEqual(asked, ['unknown.test']);
  });

  test('nothing that has expired', async (t) => {
    const { shown, keep, clock, asked } = handshakes(t);
    const id = keep('a.test');
    clock.jump(certificate.notAfter - 1);
    assert.equal(await shown('a.test'), id);
    clock.jump(certificate.notAfter);
    assert.equal(await shown('a.test'), 'file:fallback');
    assert.deepEqual(asked, ['a.test']);
  });
});
