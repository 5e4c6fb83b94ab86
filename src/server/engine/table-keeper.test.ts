import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import type { Logger } from '../../base/log.ts';
import { silent } from '../../base/log.ts';
import { createAuthority } from '../../certificates/credentials.testing.ts';
import { MemoryTable } from '../../certificates/memory-table.ts';
import type { CertificateTable, TableCertificate } from '../../certificates/table.ts';
import type { LoadedCredential, SupervisorCalls } from '../calls.ts';
import type { Peer } from '../peer.ts';
import { TableKeeper } from './table-keeper.ts';

let first: TableCertificate;
let second: TableCertificate;

before(async () => {
  const authority = await createAuthority();
  [first, second] = await Promise.all([
    authority.issue(['a.example.org']),
    authority.issue(['a.example.org']),
  ]);
});

function credential(id: string, { chainPem, keyPem }: TableCertificate): LoadedCredential {
  return {
    id,
    source: `the source of ${id}`,
    stopgap: [],
    pems: [{ chainPem, keyPem }],
    problem: undefined,
  };
}

/** A keeper before a supervisor that answers as told. */
function keeper(
  load: (ids: readonly string[]) => LoadedCredential[] | Promise<LoadedCredential[]>,
  table: CertificateTable = new MemoryTable(),
  dress?: ConstructorParameters<typeof TableKeeper>[3],
) {
  const asked: (readonly string[])[] = [];
  const said: string[] = [];
  const call = async (_name: string, ids: readonly string[]) => {
    asked.push(ids);
    return load(ids);
  };
  const logger: Logger = { ...silent('ssl'), error: (line) => void said.push(line) };
  const supervisor = { call } as unknown as Peer<SupervisorCalls>;
  return { keeper: new TableKeeper(table, supervisor, logger, dress), table, asked, said };
}

suite('the keeper of the certificate table', () => {
  test('loads what a worker wants once, however many ask', async () => {
    const { keeper: tables, table, asked } = keeper((ids) => ids.map((id) => credential(id, first)));
    const answers = await Promise.all(Array.from({ length: 20 }, () => tables.want('md:a')));
    for (const answer of answers) assert.ok('set' in answer);
    assert.equal(asked.length, 1);
    assert.equal(table.get('md:a')?.certificates[0]?.serial, first.serial);
    await tables.want('md:a');
    assert.equal(asked.length, 1);
  });

  test('asks again after a failure', async () => {
    let tries = 0;
    const { keeper: tables } = keeper((ids) => {
      if (++tries === 1) throw new Error('the supervisor is busy');
      return ids.map((id) => credential(id, first));
    });
    await assert.rejects(tables.want('md:a'));
    assert.ok('set' in (await tables.want('md:a')));
  });

  test('loads many in parts, and stops when told to', async () => {
    const stop = new AbortController();
    const { keeper: tables, asked } = keeper((ids) => {
      if (asked.length === 2) stop.abort();
      return ids.map((id) => credential(id, first));
    });
    await tables.fill(
      Array.from({ length: 1000 }, (_, n) => `file:${n}`),
      stop.signal,
    );
    assert.equal(asked.length, 2);
    assert.ok(asked.every((ids) => ids.length < 100));
  });

  test('reads files that it has no more than once, managed domains each time', async () => {
    const { keeper: tables, asked } = keeper((ids) => ids.map((id) => credential(id, first)));
    const ids = ['file:1', 'md:a'];
    await tables.fill(ids.slice());
    await tables.fill(ids.slice());
    assert.deepEqual(asked, [ids, ['md:a']]);
  });

  test('says once what is wrong with a set, serves the others, and forgets it when it is right', async () => {
    const broken = { ...credential('file:1', first), pems: [{ chainPem: 'garbage', keyPem: 'garbage' }] };
    const mixed = credential('file:2', { ...first, keyPem: second.keyPem });
    const empty = { ...credential('file:3', first), pems: [] };
    let answers = [broken, mixed, empty, credential('file:4', first)];
    const { keeper: tables, table, said } = keeper((ids) => answers.filter(({ id }) => ids.includes(id)));
    const ids = answers.map(({ id }) => id);
    await tables.refresh(ids);
    await tables.refresh(ids);
    assert.deepEqual([...table.ids()], ['file:4']);
    assert.deepEqual([...tables.problems.keys()], ['file:1', 'file:2', 'file:3']);
    assert.equal(said.length, 3);
    assert.match(said[1] ?? '', /the source of file:2: /);
    for (const line of said) assert.doesNotMatch(line, /PRIVATE|BEGIN/);
    assert.ok('problem' in (await tables.want('file:1')));

    answers = ids.map((id) => credential(id, first));
    await tables.refresh(ids);
    assert.equal(tables.problems.size, 0);
  });

  test('serves what is good of a set, and the stopgap where nothing is', async () => {
    const bad = { chainPem: 'garbage', keyPem: 'garbage' };
    const stopgap = [{ chainPem: second.chainPem, keyPem: second.keyPem }];
    const half = credential('md:half', first);
    const { keeper: tables, table } = keeper(() => [
      { ...half, pems: [bad, ...half.pems], stopgap },
      { ...credential('md:bad', first), pems: [bad], stopgap },
      { ...credential('md:new', first), pems: [], stopgap },
    ]);
    await tables.refresh(['md:half', 'md:bad', 'md:new']);
    const shown = (id: string) => {
      const { fallback, certificates = [] } = table.get(id) ?? {};
      return [fallback, ...certificates.map(({ serial }) => serial)];
    };
    assert.deepEqual(shown('md:half'), [false, first.serial]);
    assert.deepEqual(shown('md:bad'), [true, second.serial]);
    assert.deepEqual(shown('md:new'), [true, second.serial]);
    assert.deepEqual([...tables.problems.keys()], ['md:half', 'md:bad']);
  });

  test('lets nothing read before an activation replace what was read after it', async () => {
    const slow = Promise.withResolvers<LoadedCredential[]>();
    let installed = first;
    const { keeper: tables, table } = keeper((ids) => {
      const answer = ids.map((id) => credential(id, installed));
      if (installed === second) return answer;
      return slow.promise.then(() => answer);
    });
    const wanted = tables.want('md:a');
    await new Promise(setImmediate);
    installed = second;
    const refreshed = tables.refresh(['md:a']);
    await new Promise(setImmediate);
    slow.resolve([]);
    await Promise.all([wanted, refreshed]);
    assert.equal(table.get('md:a')?.certificates[0]?.serial, second.serial);
  });

  test('keeps what came with an activation against what others had begun to read before', async () => {
    const slow = Promise.withResolvers<LoadedCredential[]>();
    const { keeper: tables, table } = keeper(() => slow.promise);
    const others = [tables.want('md:a'), tables.refresh(['md:b'])];
    await new Promise(setImmediate);
    for (const id of ['md:a', 'md:b']) await tables.take(credential(id, second));
    slow.resolve([credential('md:a', first), credential('md:b', first)]);
    await Promise.all(others);
    for (const id of ['md:a', 'md:b'])
      assert.equal(table.get(id)?.certificates[0]?.serial, second.serial, id);
  });

  test('has nothing stapled any more that was read before what is there', async () => {
    const slow = Promise.withResolvers<LoadedCredential[]>();
    const dressed: string[] = [];
    const { keeper: tables, table } = keeper(
      (ids) => (ids.length > 1 ? slow.promise : ids.map((id) => credential(id, second))),
      undefined,
      async (_id, found) => found.map(({ certificate }) => (dressed.push(certificate.serial), certificate)),
    );
    const reloaded = tables.refresh(['md:a', 'md:b']);
    await tables.refresh(['md:a']);
    slow.resolve([credential('md:a', first)]);
    await reloaded;
    assert.deepEqual(dressed, [second.serial]);
    assert.equal(table.get('md:a')?.certificates[0]?.serial, second.serial);
  });

  test('says once that the table is full, and hands out what has no room there', async () => {
    const full = new Proxy(new MemoryTable(), {
      get: (target, name) => (name === 'put' ? () => 'full' : Reflect.get(target, name, target).bind(target)),
    });
    const { keeper: tables, said } = keeper((ids) => ids.map((id) => credential(id, first)), full);
    await tables.refresh(['md:a', 'md:b']);
    assert.equal(tables.full, true);
    assert.equal(said.filter((line) => line.includes('table is full')).length, 1);
    const wanted = await tables.want('md:a');
    assert.ok('set' in wanted && wanted.set.certificates[0]?.serial === first.serial);
  });

  test('forgets what is no longer configured', async () => {
    const { keeper: tables, table } = keeper((ids) =>
      ids.map((id) => (id === 'md:c' ? { ...credential(id, first), pems: [] } : credential(id, first))),
    );
    await tables.refresh(['md:a', 'md:b', 'md:c']);
    tables.keepOnly(new Set(['md:b']));
    assert.deepEqual([...table.ids()], ['md:b']);
    assert.equal(tables.problems.size, 0);
  });
});
