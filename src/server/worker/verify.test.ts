import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silent } from '../../base/log.ts';
import { createAuthority } from '../../certificates/credentials.testing.ts';
import { MemoryTable } from '../../certificates/memory-table.ts';
import { Names } from '../../certificates/sources/names.ts';
import { load } from '../../config/config.testing.ts';
import { SecureContexts } from '../../tls/contexts.ts';
import { ADDED_SCOPE } from '../calls.ts';
import { HandshakePlan, Handshakes } from './handshake.ts';
import { showCertificates } from './verify.ts';

const authority = await createAuthority();

/** A host with a certificate of its own, and one that stands in for other names: those of a store are its. */
function worker(t: TestContext) {
  const text = `Listen 127.0.0.1:443
Listen 80
DynSSLStoreURL http://localhost/certs
MDomain own.test
<VirtualHost *:443>
  ServerName own.test
  SSLEngine on
</VirtualHost>
MDomain odd.test
<VirtualHost *:443>
  ServerName odd.test
  SSLEngine on
  SSLOpenSSLConfCmd Groups secp521r1
</VirtualHost>
<VirtualHost *:443>
  ServerName _default_
  SSLEngine on
  DynSSLEnable on
</VirtualHost>`;
  const settings = load(t, text);
  const setIds = [undefined, 'md:own', 'md:odd', undefined];
  const table = new LateTable();
  const asked: unknown[] = [];
  const ask = async (what: unknown) => {
    asked.push(what);
    return { kind: 'none', life: 0 } as const;
  };
  const names = new Names({
    table: () => table,
    seek: ask,
    used: async (ids) => void (await ask(ids)),
    clock: systemClock,
  });
  const handshakes = new Handshakes(
    {
      table: () => table,
      contexts: new SecureContexts(),
      challenges: undefined as never,
      names,
      want: async () => ({ problem: 'not in this test' }),
      clock: systemClock,
      logger: silent('ssl'),
    },
    new HandshakePlan({ settings, setIds, clientCas: {}, ticketKeyFiles: {} }),
  );
  const [store = { id: '' }] = settings.dynamic.stores;
  return {
    asked,
    store: store.id,
    /** Puts a set for a name, and gives its serial. */
    async put(id: string, name: string, scope?: string) {
      const certificate = await authority.issue([name]);
      table.put(id, { fallback: false, certificates: [certificate] });
      if (scope !== undefined) table.point(scope, [name], id);
      return certificate.serial;
    },
    show: (setId: string, name: string, scope: string | undefined) =>
      showCertificates(handshakes, { setId, name, scope, keyTypes: ['ec'] }),
  };
}

/** As late as a shared table may be, and more: of a change it tells who asks anew. */
class LateTable extends MemoryTable {
  #told = 0;

  override changes(): number {
    return this.#told;
  }

  override refresh(): void {
    this.#told = super.changes();
  }
}

suite('a worker shows itself what it serves', () => {
  test('of a host, of a domain that was added, and of a name that is found in a store', async (t) => {
    const at = worker(t);
    const own = await at.put('md:own', 'own.test');
    const added = await at.put('md:added.test', 'added.test', ADDED_SCOPE);
    const wild = await at.put('md:*.wild.test', '*.wild.test', ADDED_SCOPE);
    const found = await at.put('dyn:shop.test', 'shop.test', at.store);
    assert.deepEqual(await at.show('md:own', 'own.test', undefined), [own]);
    assert.deepEqual(await at.show('md:added.test', 'added.test', ADDED_SCOPE), [added]);
    assert.deepEqual(await at.show('md:*.wild.test', '*.wild.test', ADDED_SCOPE), [wild]);
    assert.deepEqual(await at.show('dyn:shop.test', 'shop.test', at.store), [found]);
    const next = await at.put('md:added.test', 'added.test', ADDED_SCOPE);
    assert.deepEqual(await at.show('md:added.test', 'added.test', ADDED_SCOPE), [next]);
    assert.deepEqual(at.asked, [], 'that is no client of theirs');
  });

  test('of a host with groups of its own for the key exchange', async (t) => {
    const at = worker(t);
    const odd = await at.put('md:odd', 'odd.test');
    assert.deepEqual(await at.show('md:odd', 'odd.test', undefined), [odd]);
  });

  test('and says where it cannot: a name without a set, one that a host has, a scope that no host has', async (t) => {
    const at = worker(t);
    await at.put('md:own', 'own.test');
    await at.put('md:of-others', 'own.test', ADDED_SCOPE);
    await assert.rejects(at.show('dyn:gone.test', 'gone.test', at.store));
    assert.equal(await at.show('md:of-others', 'own.test', ADDED_SCOPE), undefined);
    assert.equal(await at.show('dyn:shop.test', 'shop.test', 'on-demand'), undefined);
    assert.deepEqual(await at.show('md:other.test', 'other.test', undefined), []);
    assert.deepEqual(at.asked, []);
  });
});
