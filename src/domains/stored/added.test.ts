import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { assert as check, asyncProperty, string } from 'fast-check';
import { createLoggers } from '../../base/log.ts';
import { MemoryStore } from '../../store/memory.ts';
import { AddedDomains, isAdded } from './added.ts';
import { settings } from '../domains.testing.ts';

const template = settings('template', { authorities: ['https://ca.example/own'] });
const configured = [settings('conf.example', { domains: ['conf.example', '*.wild.example'] })];

async function open(store = new MemoryStore(), domains = configured) {
  const lines: string[] = [];
  const loggers = createLoggers(
    (line) => lines.push(line),
    () => ({ all: 'info', modules: {} }),
  );
  return { store, lines, added: await AddedDomains.open(store, { template, domains }, loggers('md')) };
}

suite('domains that are added while the server runs', () => {
  test('are like the template, and are there again after a restart', async () => {
    const { store, added } = await open();
    const domain = await added.add(['New.example', 'www.new.example', 'new.example']);
    const expected = { ...template, name: 'new.example', domains: ['new.example', 'www.new.example'] };
    assert.deepEqual(domain, expected);
    assert.deepEqual((await open(store)).added.domains, [expected]);
    assert.ok(await isAdded(store, 'new.example'));
    assert.deepEqual(await added.remove('new.example'), ['new.example', 'www.new.example']);
    assert.ok(!(await isAdded(store, 'new.example')));
    assert.equal((await open(store)).added.count, 0);
    await assert.rejects(added.remove('new.example'), { code: 'added-unknown' });
  });

  test('may be added again with other names, but not with those of others', async () => {
    const { added } = await open();
    await added.add(['a.example', 'b.example']);
    await added.add(['a.example', 'c.example']);
    await added.add(['b.example']);
    await added.add(['*.under.example']);
    const taken = ['conf.example', 'x.wild.example', 'c.example', 'one.under.example', '*.example'];
    for (const name of taken) {
      await assert.rejects(
        added.add([`new-${taken.indexOf(name)}.test`, name]),
        { code: 'added-taken' },
        name,
      );
      await assert.rejects(added.add([name]), { code: 'added-taken' }, name);
    }
    assert.deepEqual(added.domains.map(({ name }) => name).toSorted(), [
      '*.under.example',
      'a.example',
      'b.example',
    ]);
  });

  test('step back for what is configured, and come again after it', async () => {
    const { added } = await open();
    await added.add(['a.example', 'b.example']);
    added.reconfigure({ template, domains: [settings('b.example')] });
    assert.deepEqual(added.domains, []);
    added.reconfigure({ template, domains: [] });
    assert.equal(added.domains.length, 1);
  });

  test('of several servers on a store are known to all who read them again', async () => {
    const { store, added: one } = await open();
    const { added: two } = await open(store);
    for (const names of [['a.example', 'www.a.example'], ['b.example'], ['c.example']]) await one.add(names);
    await two.reread();
    await one.add(['a.example', 'shop.a.example']);
    await one.remove('b.example');
    await one.add(['d.example']);
    const { changed, before } = await two.reread();
    assert.deepEqual(changed.toSorted(), ['a.example', 'd.example']);
    assert.deepEqual(Object.fromEntries(before), {
      'a.example': ['a.example', 'www.a.example'],
      'b.example': ['b.example'],
    });
    assert.deepEqual(two.namesOf('a.example'), ['a.example', 'shop.a.example']);
    await assert.rejects(two.add(['x.example', 'shop.a.example']), { code: 'added-taken' });
    await two.add(['y.example', 'www.a.example']);
    assert.deepEqual((await one.reread()).changed, ['y.example']);
    assert.deepEqual(await one.reread(), { changed: [], before: new Map() });
  });

  test('have names that a certificate can have', async () => {
    const { added } = await open();
    for (const name of ['', ' ', '../x', 'a b', 'a..b', '*.*.x', `${'a.'.repeat(110)}x`, 'ä.example']) {
      await assert.rejects(added.add([name]), { code: 'added-bad-name' }, name);
    }
    await assert.rejects(added.add([]), { code: 'added-bad-name' });
    const many = Array.from({ length: 101 }, (_, n) => `n${n}.example`);
    await assert.rejects(added.add(many), { code: 'added-bad-name' });
    await check(
      asyncProperty(string({ unit: 'grapheme-ascii' }), async (name) => {
        await added.add([name]).catch((error: unknown) => assert.match(String(error), /added/i));
      }),
      { numRuns: 50 },
    );
  });

  test('whose file is damaged are left out, and the log says what to do', async () => {
    const { store, added } = await open();
    await added.add(['good.example']);
    for (const [name, text] of Object.entries({
      garbage: '{',
      other: '{"domains":["another.example"]}',
      empty: '{"domains":[]}',
      hostile: '{"domains":["hostile","../x"]}',
    })) {
      await store.save('limits', 'added', `${name}.json`, text);
    }
    const again = await open(store);
    assert.deepEqual(
      again.added.domains.map(({ name }) => name),
      ['good.example'],
    );
    assert.equal(again.lines.filter((line) => line.includes('is damaged: add')).length, 4);
  });
});
