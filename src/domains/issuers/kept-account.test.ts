/** An account that is in `accounts` already: staging names it, and has no copy. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { AcmeClient } from '../../acme/client.ts';
import { type HostileCa, reply, startHostileCa } from '../../acme/hostile-ca.testing.ts';
import { readMd, writeMd } from '../../store/documents.ts';
import { MemoryStore } from '../../store/memory.ts';
import { impatientClock, settings } from '../domains.testing.ts';
import { activateStaged } from '../stored/activate.ts';
import { mdDocument } from '../stored/document.ts';
import { AcmeIssuer } from './acme.ts';

const KEPT = 'ACME-localhost-0000';
const COPIES = ['account.json', 'account.pem'];

function issuerOn(store: MemoryStore): AcmeIssuer {
  const newClient = (directoryUrl: string) => new AcmeClient({ directoryUrl });
  return new AcmeIssuer({ store, clock: impatientClock, newClient });
}

/** As a renewal does it: md.json names the account. */
async function obtain(ca: HostileCa, store: MemoryStore, issuer: AcmeIssuer, name: string): Promise<void> {
  const domain = settings(name);
  const account = issuer.account(domain, ca.directoryUrl);
  const md = mdDocument(domain, { state: 'incomplete', description: '' }, undefined);
  await writeMd(store, 'staging', name, { ...md, ca: { ...md.ca, account } });
  await issuer.obtain(domain, { authority: ca.directoryUrl, account, progress: () => {} });
}

async function copies(store: MemoryStore, name: string): Promise<string[]> {
  return (await store.aspects('staging', name)).filter((aspect) => COPIES.includes(aspect));
}

async function accountOf(store: MemoryStore, name: string): Promise<string | undefined> {
  return (await readMd(store, 'domains', name))?.ca.account;
}

const registrations = ({ seen }: HostileCa) =>
  seen.filter(({ endpoint }) => endpoint === 'newAccount').length;

suite('an account in accounts', () => {
  test('is named by staging and not copied, and activation tells it from there', async () => {
    await using ca = await startHostileCa();
    const store = new MemoryStore();
    await using issuer = issuerOn(store);
    for (const name of ['a.example', 'b.example', 'c.example']) {
      await obtain(ca, store, issuer, name);
      assert.deepEqual(await copies(store, name), name === 'c.example' ? [] : COPIES);
      await activateStaged(store, name);
      assert.equal(await accountOf(store, name), KEPT);
    }
    assert.equal(registrations(ca), 1);
  });

  test('whose folder is deleted is staged once more, and kept again', async () => {
    await using ca = await startHostileCa();
    const store = new MemoryStore();
    await using issuer = issuerOn(store);
    for (const name of ['a.example', 'b.example']) {
      await obtain(ca, store, issuer, name);
      await activateStaged(store, name);
    }
    await store.purge('accounts', KEPT);
    await obtain(ca, store, issuer, 'c.example');
    assert.deepEqual(await copies(store, 'c.example'), COPIES);
    await activateStaged(store, 'c.example');
    assert.deepEqual(await store.list('accounts'), [KEPT]);
  });

  test('that staging names is nobody’s where there is none of that name', async () => {
    await using ca = await startHostileCa();
    const store = new MemoryStore();
    await using issuer = issuerOn(store);
    await obtain(ca, store, issuer, 'a.example');
    await activateStaged(store, 'a.example');
    await obtain(ca, store, issuer, 'b.example');
    for (const aspect of COPIES) await store.remove('staging', 'b.example', aspect);
    const md = await readMd(store, 'staging', 'b.example');
    assert(md);
    await writeMd(store, 'staging', 'b.example', { ...md, ca: { ...md.ca, account: '../../etc' } });
    await activateStaged(store, 'b.example');
    assert.equal(await accountOf(store, 'b.example'), undefined);
  });

  for (const [whose, url] of Object.entries({ own: undefined, other: 'http://127.0.0.1:1/account/9' })) {
    test(`is what a later process goes on with at an order of its ${whose}`, async () => {
      await using ca = await startHostileCa();
      const store = new MemoryStore();
      for (const name of ['a.example', 'b.example']) {
        await using issuer = issuerOn(store);
        await obtain(ca, store, issuer, name);
        await activateStaged(store, name);
      }
      ca.next('finalize', reply.problem('serverInternal', 500));
      await using first = issuerOn(store);
      await assert.rejects(obtain(ca, store, first, 'c.example'));
      for (const aspect of COPIES) await store.remove('staging', 'c.example', aspect);
      if (url !== undefined) {
        const order = JSON.parse(String(await store.load('staging', 'c.example', 'order.json')));
        await store.save('staging', 'c.example', 'order.json', JSON.stringify({ ...order, account: url }));
      }
      await using second = issuerOn(store);
      await obtain(ca, store, second, 'c.example');
      const orders = ca.seen.filter(({ endpoint }) => endpoint === 'newOrder').length;
      assert.equal(orders, url === undefined ? 3 : 4);
      assert.equal(registrations(ca), 1);
    });
  }
});
