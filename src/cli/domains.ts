/** `latchkey domains list|add|remove|flush`: managed domains of the running server, without touching files. */
import { readPidFileSetting } from '../config/load.ts';
import { ControlClient } from '../server/control.ts';
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
