import { tableConformance } from './conformance.testing.ts';
import { MemoryTable } from './memory-table.ts';

tableConformance('The table in memory', () => {
  const table = new MemoryTable();
  return { table, [Symbol.dispose]: () => table[Symbol.dispose]() };
});
