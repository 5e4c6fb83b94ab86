import { silent } from '../../base/log.ts';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { loadConfiguration } from '../../config/load.ts';
import type { Settings } from '../../config/settings.ts';
import { put } from '../../domains/domains.testing.ts';
import { StoreKeeper } from './store-keeper.ts';

const NAME = 'a.example';

function settings(t: TestContext): Settings {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-keeper-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const lines = ['Listen 80', `MDomain ${NAME}`, 'MDPrivateKeys P-256'];
  const source = { serverRoot: dir, file: '/dev/null', defines: [], before: lines, after: [] };
  return loadConfiguration(source).settings;
}

suite('the keeper of the store', () => {
  test('activates a domain once, whoever asks at the same time', async (t) => {
    await using keeper = await StoreKeeper.open(settings(t), undefined, silent('md'));
    await put(keeper.store, 'staging', NAME, { names: [NAME], notBefore: Date.now() - 1000 });
    const asked = await Promise.all([1, 2, 3].map(() => keeper.activate(NAME, { finishedOnly: true })));
    assert.deepEqual(
      asked.map(({ serials }) => serials.length),
      [1, 0, 0],
    );
    assert.equal((await keeper.store.list('archive')).length, 0);
  });

  test('activates what was added at a start, and nothing that is no name of a domain', async (t) => {
    const configured = settings(t);
    await using keeper = await StoreKeeper.open(configured, undefined, silent('md'));
    for (const name of ['added.example', '--help', '`id`']) {
      await keeper.store.save('limits', 'added', `${name}.json`, '{}');
      await put(keeper.store, 'staging', name, { names: ['b.example'], notBefore: Date.now() - 1000 });
    }
    assert.deepEqual([...(await keeper.bringInLine(configured)).keys()], ['added.example']);
  });

  test('tells when the changes are made that engines have asked for, or have failed', async (t) => {
    await using keeper = await StoreKeeper.open(settings(t), undefined, silent('md'));
    const slow = Promise.withResolvers<string>();
    const asked = [keeper.during(Promise.reject(new Error('in vain'))), keeper.during(slow.promise)];
    let settled = false;
    const settling = keeper.settled().then(() => (settled = true));
    await assert.rejects(async () => asked[0], { message: 'in vain' });
    await turn();
    assert.equal(settled, false);
    slow.resolve('made');
    await settling;
    assert.equal(await asked[1], 'made');
    await keeper.settled();
  });

  test('opens the store anew where its folder is gone, and only there', async (t) => {
    const configured = settings(t);
    await using keeper = await StoreKeeper.open(configured, undefined, silent('md'));
    assert.equal(await keeper.reopenIfGone(configured), false);
    const passphrase = keeper.store.key.passphrase();
    rmSync(configured.md.storeDir, { recursive: true });
    assert.equal(await keeper.reopenIfGone(configured), true);
    await keeper.bringInLine(configured);
    assert.deepEqual(await keeper.store.list('domains'), [NAME]);
    assert.notDeepEqual(keeper.store.key.passphrase(), passphrase);
    assert.equal(await keeper.reopenIfGone(configured), false);
  });
});
