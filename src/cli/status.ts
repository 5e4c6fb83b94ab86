/** `latchkey status [NAME]`. */
import { readPidFileSetting } from '../config/load.ts';
import { ControlClient } from '../server/control.ts';
import type { StatusDocument } from '../status/document.ts';
import { details, overview } from '../status/text.ts';
import type { Where } from './where.ts';

/** Prints what the running server says; exit code 1 where none runs or it has no such domain. */
export async function status(where: Where, name: string | undefined, json: boolean): Promise<void> {
  const client = ControlClient.find(readPidFileSetting(where).pidFile);
  // Of our own server: the document is what engine.ts made of the same type.
  const document = (await client.status()) as StatusDocument;
  const domain = document.domains.find(
    (candidate) => candidate.name === name || candidate.names.includes(name ?? ''),
  );
  if (name !== undefined && !domain) {
    throw new Error(
      `${name} is not a name of a managed domain; they are: ${document.domains.map((d) => d.name).join(', ') || 'none'}`,
    );
  }
  const stapling = document.stapling.filter((one) => one.domain === domain?.name);
  const chosen = domain ? { ...domain, stapling } : document;
  if (json) process.stdout.write(`${JSON.stringify(chosen, undefined, 2)}\n`);
  else process.stdout.write(domain ? details(domain, document.now, stapling) : overview(document));
}
