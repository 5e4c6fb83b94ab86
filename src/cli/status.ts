/** `latchkey status [NAME]`. */
import { nearest } from '../base/nearest.ts';
import { readPidFileSetting } from '../config/load.ts';
import { ControlClient } from '../server/control.ts';
import type { ListedDomain } from '../server/engine/added.ts';
import type { Show, StatusDocument } from '../status/document.ts';
import { details, overview } from '../status/text.ts';
import type { Where } from './where.ts';

/** As many names fit into an error. */
const NAMES_SHOWN = 10;

/** Of the domains that there are. */
export interface Wanted {
  readonly name: string | undefined;
  readonly show?: Show | undefined;
  readonly search?: string | undefined;
  readonly json?: boolean | undefined;
}

/** Prints what the running server says; rejects where none runs or it has no such domain. */
export async function status(where: Where, { name, show, search, json }: Wanted): Promise<void> {
  const client = ControlClient.find(readPidFileSetting(where).pidFile);
  // Of our own server: the document is what engine.ts made of the same type.
  const document = (await client.status({ name, show, search })) as StatusDocument;
  const { domains, stapling, now } = document;
  const [domain] = name === undefined ? [] : domains;
  if (name !== undefined && !domain) throw await unknown(name, client);
  if (json) return print(JSON.stringify(domain ? { ...domain, stapling } : document, undefined, 2));
  const chosen = show !== undefined || search !== undefined;
  print((domain ? details(domain, now, stapling) : overview(document, chosen)).trimEnd());
}

async function unknown(name: string, client: ControlClient): Promise<Error> {
  const domains = (await client.domains()) as readonly ListedDomain[];
  const near = nearest(
    name,
    domains.flatMap(({ names }) => names),
  ).map((one) => `'${one}'`);
  const few = domains.slice(0, NAMES_SHOWN).map((domain) => domain.name);
  const more = domains.length > few.length ? ` and ${domains.length - few.length} more` : '';
  const hint =
    near.length > 0 ? `did you mean ${near.join(' or ')}?` : `they are: ${few.join(', ') || 'none'}${more}`;
  return new Error(`${name} is not a name of a managed domain; ${hint}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
