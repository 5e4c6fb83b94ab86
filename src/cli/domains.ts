/** `latchkey domains list|add|remove|flush`: managed domains of the running server, without touching files. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { LatchkeyError } from '../base/errors.ts';
import { readPidFileSetting } from '../config/load.ts';
import { ControlClient, ControlError } from '../server/control.ts';
import type { ListedDomain } from '../server/engine/added.ts';
import type { Where } from './where.ts';

export async function listDomains(where: Where, json: boolean): Promise<void> {
  // Of our own server.
  const domains = (await clientOf(where).domains()) as readonly ListedDomain[];
  if (json) return print(JSON.stringify(domains, undefined, 2));
  if (domains.length === 0) return print('there are no managed domains');
  const width = Math.max(...domains.map(({ name }) => name.length));
  for (const domain of domains) print(line(domain, width));
}

export async function addDomain(where: Where, names: readonly string[]): Promise<void> {
  await clientOf(where).add(names);
  print(`${names[0]} is a managed domain now; 'latchkey status ${names[0]}' tells how far it is`);
}

/**
 * Adds a domain for each line of a file, or of standard input (`-`): names with blanks between them, `#` begins a
 * comment. What the server refuses is told with its line, and the rest is added.
 * @throws LatchkeyError `domains-refused`: not all were added. ControlError: the server does not answer.
 */
export async function addDomains(where: Where, file: string): Promise<void> {
  const lines = (file === '-' ? await text(process.stdin) : await readFile(file, 'utf8')).split('\n');
  const client = clientOf(where);
  let [added, refused] = [0, 0];
  for (const [index, line] of lines.entries()) {
    const names = line.replace(/#.*/, '').split(/\s+/).filter(Boolean);
    if (names.length === 0) continue;
    try {
      await client.add(names);
      added++;
    } catch (error) {
      if (!(error instanceof ControlError) || error.cause !== undefined) throw atLine(file, index, error);
      process.stderr.write(`${file}:${index + 1}: ${error.message}\n`);
      refused++;
    }
  }
  print(`${added} managed domains; 'latchkey status' tells how far they are`);
  if (refused > 0) {
    const what = `${refused} of ${added + refused} domains were not added: correct their lines, and add them again`;
    throw new LatchkeyError('domains-refused', what);
  }
}

/** What stands before the line has been added. */
function atLine(file: string, index: number, cause: unknown): LatchkeyError {
  return new LatchkeyError('domains-refused', `${file}:${index + 1}: added up to here`, { cause });
}

export async function removeDomain(where: Where, name: string): Promise<void> {
  await clientOf(where).remove(name);
  print(`${name} is removed; the store keeps its certificates`);
}

export async function flushDomain(where: Where, name: string): Promise<void> {
  await clientOf(where).flush(name);
  print(`${name} is served with what there is for it now`);
}

function line({ name, names, added, state, notAfter, problem }: ListedDomain, width: number): string {
  const more = names.length > 1 ? `  +${names.length - 1} names` : '';
  const until = notAfter === undefined ? '' : `  until ${new Date(notAfter).toISOString().slice(0, 10)}`;
  const origin = added ? 'added' : 'configured';
  return `${name.padEnd(width)}  ${origin.padEnd(10)}  ${state}${until}${more}${problem === undefined ? '' : `  ${problem}`}`;
}

function clientOf(where: Where): ControlClient {
  return ControlClient.find(readPidFileSetting(where).pidFile);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
