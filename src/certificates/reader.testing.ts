/** A process that reads the table in the folder given, as a worker does, and answers questions about it. */
import { openTableForReading } from './lmdb-table.ts';

const table = openTableForReading({ dir: process.argv[2] ?? '' });

function answer(method: string, args: readonly string[]): unknown {
  const [first = '', second = ''] = args;
  if (method === 'version') return table.version(first);
  if (method === 'changes') return table.changes();
  if (method === 'refresh') return table.refresh();
  if (method === 'find') return table.find(first, second);
  return table.get(first)?.certificates[0]?.serial;
}

process.on('message', ({ method, args }: { method: string; args: string[] }) => {
  process.send?.({ value: answer(method, args) ?? null });
});
process.send?.('ready');
