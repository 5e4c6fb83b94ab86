/** The certificate table as the sources of certificates by name fill it: what they put there is stapled, too. */
import type { CertificateTable } from '../../certificates/table.ts';
import type { Staples } from './staples.ts';

/** `staples`: undefined as long as no host staples. */
export function stapledTable(table: CertificateTable, staples: () => Staples | undefined): CertificateTable {
  return {
    get: (id) => table.get(id),
    version: (id) => table.version(id),
    changes: () => table.changes(),
    refresh: () => table.refresh(),
    find: (scope, name) => table.find(scope, name),
    put: (id, set) => {
      const outcome = table.put(id, staples()?.known(id, set) ?? set);
      if (outcome === 'stored') staples()?.follow(id);
      return outcome;
    },
    point: (scope, names, id) => table.point(scope, names, id),
    unpoint: (scope, names) => table.unpoint(scope, names),
    remove: (id) => {
      staples()?.forget(id);
      return table.remove(id);
    },
    forget: (scope, sets) => {
      const gone = [...sets];
      for (const { id } of gone) staples()?.forget(id);
      return table.forget(scope, gone);
    },
    ids: () => table.ids(),
    [Symbol.dispose]: () => table[Symbol.dispose](),
  };
}
