/**
 * The quickstart: a Latchkey with the configuration in this folder, a small backend for it, and a running
 * commentary. State goes to ./state; remove that folder to begin from nothing.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ControlClient } from '../../src/server/control.ts';
import type { StatusDocument } from '../../src/status/document.ts';
import { startBackend } from './backend.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));
const state = join(folder, 'state');
const log = join(state, 'logs', 'error_log');
const pidFile = join(state, 'logs', 'httpd.pid');
const latchkey = fileURLToPath(new URL('../../bin/latchkey', import.meta.url));

const say = (text: string) => process.stdout.write(`${text}\n`);

mkdirSync(state, { recursive: true });
const before = existsSync(log) ? statSync(log).size : 0;

say('Starting a small backend on 127.0.0.1:8081, and Latchkey on ports 8080 (http) and 8443 (https).');
const backend = await startBackend(8081).catch((error: Error) => {
  process.stderr.write(
    `The backend could not start: ${error.message}. Stop what has the port: another quickstart, maybe.\n`,
  );
  process.exit(1);
});
const server = spawn(latchkey, ['-X', '-d', state, '-f', join(folder, 'httpd.conf')], {
  stdio: 'inherit',
  env: { ...process.env, QUICKSTART: folder.replace(/\/$/, '') },
});
server.once('exit', (code) => {
  backend.close();
  backend.closeAllConnections();
  process.exit(code ?? 0);
});
// A terminal's ^C comes to both, a signal of npm's to this process alone; it waits for the server to end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => server.kill('SIGTERM'));

const told = new Set<string>();
let ready = false;
for (;;) {
  await delay(250);
  const document = await statusNow();
  if (!document) continue;
  narrate(document);
  if (ready || !document.domains.every((domain) => domain.certificates.length > 0)) continue;
  ready = true;
  invite();
}

async function statusNow(): Promise<StatusDocument | undefined> {
  try {
    return (await ControlClient.find(pidFile).status()) as StatusDocument;
  } catch {
    // Not up yet, or just being restarted.
    return undefined;
  }
}

/** Tells what the jobs did since the last look. */
function narrate({ domains, started }: StatusDocument): void {
  for (const { name, log: entries } of domains) {
    for (const { when, type, detail } of entries.toReversed()) {
      const line = `${new Date(when).toTimeString().slice(0, 8)}  ${name}: ${detail ?? type}`;
      if (when < started || told.has(line)) continue;
      told.add(line);
      say(line);
    }
  }
}

function invite(): void {
  const resolve = ['www', 'api']
    .map((name) => `--resolve ${name}.latchkey.localhost:8443:127.0.0.1`)
    .join(' ');
  const root = join(state, 'ca', 'root.pem');
  say('');
  say(
    'Both hosts are served over HTTPS. Certificates live for three minutes here: stay, and watch them be renewed.',
  );
  say('Paste this into another terminal (api.latchkey.localhost is the other host):');
  say('');
  say(`curl --cacert ${root} ${resolve} https://www.latchkey.localhost:8443/`);
  say('');
  say(`To see more: bin/latchkey status -d ${state} -f ../httpd.conf; the log is ${log}. ^C ends it.`);
  say('');
  const warnings = readFileSync(log)
    .subarray(before)
    .toString()
    .split('\n')
    .filter((line) => /:(?:error|warn)\]/.test(line));
  for (const line of warnings) say(line);
}
