/** `latchkey renew NAME`: asks the running server, shows each step as it happens. */
import { readPidFileSetting } from '../config/load.ts';
import { ControlClient } from '../server/control.ts';
import type { Where } from './where.ts';

/** Ends when the new certificate is served, or is had and by the configuration not to be served, or with exit code 1 and the reason why not. */
export async function renew(where: Where, name: string): Promise<void> {
  const client = ControlClient.find(readPidFileSetting(where).pidFile);
  let outcome: string | undefined;
  for await (const line of client.renew(name)) {
    if (line['outcome'] === undefined) {
      process.stdout.write(`${(line['step'] ?? '').padEnd(14)} ${line['detail'] ?? ''}\n`);
      continue;
    }
    outcome = line['outcome'];
    const out = outcome === 'failed' ? process.stderr : process.stdout;
    out.write(`${outcome === 'failed' ? 'not renewed' : outcome}: ${line['detail'] ?? ''}\n`);
  }
  if (outcome === undefined)
    process.stderr.write('the server ended before the renewal did; it goes on at its next start\n');
  if (outcome === undefined || outcome === 'failed') process.exitCode = 1;
}
