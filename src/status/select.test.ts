import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { type DomainInService, shows, sortKeys, type StatusQuery } from './document.ts';
import { selectDomains } from './select.ts';
import { certificate, document, domain, NOW } from './status.testing.ts';

const names = fc.uniqueArray(fc.stringMatching(/^[a-d]{1,4}\.test$/), { maxLength: 30 });
const queries: fc.Arbitrary<StatusQuery> = fc.record(
  {
    search: fc.constantFrom('', 'a', 'B', 'test', 'zzz'),
    show: fc.constantFrom(...shows),
    sort: fc.constantFrom(...sortKeys),
    descending: fc.boolean(),
    offset: fc.nat(40),
    limit: fc.nat(10),
  },
  { requiredKeys: [] },
);

/** Of several states, by what their names are. */
function domainNamed(name: string): DomainInService {
  const failing = name.startsWith('a');
  return domain({
    name,
    certificates: [certificate({ notAfter: NOW + name.length * 1000 })],
    problem: failing ? { type: 'x', detail: '' } : undefined,
    running: name.startsWith('b'),
    log: [{ when: NOW, type: 'starting' }],
  });
}

suite('what a document has of the domains', () => {
  test('in pages is what it has in one piece, in the same order', () => {
    fc.assert(
      fc.property(names, queries, fc.integer({ min: 1, max: 7 }), (all, anyQuery, size) => {
        const { search, show, sort, descending } = anyQuery;
        const query = { search, show, sort, descending };
        const domains = all.sort().map(domainNamed);
        const whole = document(domains, query);
        const pages: string[] = [];
        for (let offset = 0; offset < whole.matching; offset += size) {
          pages.push(...document(domains, { ...query, offset, limit: size }).domains.map(({ name }) => name));
        }
        assert.deepEqual(
          pages,
          whole.domains.map(({ name }) => name),
        );
        assert.equal(whole.matching, whole.domains.length);
      }),
    );
  });

  test('comes without logs, but for a single one', () => {
    fc.assert(
      fc.property(names, queries, (all, query) => {
        const domains = all.sort().map(domainNamed);
        assert.ok(document(domains, query).domains.every(({ log }) => log.length === 0));
        for (const name of all) assert.equal(document(domains, { name }).domains[0]?.log.length, 1);
      }),
    );
  });

  test('by name describes no others than are on the page', () => {
    const described: string[] = [];
    const source = {
      names: Array.from({ length: 10_000 }, (_, index) => `d${index}`),
      find: (name: string) => name,
      describe: (wanted: readonly string[] = []) => {
        described.push(...wanted);
        return wanted.map((name) => domain({ name }));
      },
    };
    assert.equal(selectDomains(source, { offset: 9990, limit: 100 }).domains.length, 10);
    assert.equal(selectDomains(source, { name: 'd7' }).domains.length, 1);
    assert.equal(described.length, 11);
  });
});
