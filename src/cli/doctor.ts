/** `latchkey doctor NAME`: what a CA would stumble over, and what to do about it. */
import { readFileSync } from 'node:fs';
import { AcmeClient } from '../acme/client.ts';
import { escapeControls, silent } from '../base/log.ts';
import { version } from '../base/version.ts';
import { loadConfiguration, readPidFileSetting } from '../config/load.ts';
import { challengeProblem } from '../domains/issuers/challenges.ts';
import { ControlClient, ControlError } from '../server/control.ts';
import { Preflights } from '../server/engine/preflights.ts';
import { diagnose, type Diagnosis } from '../status/diagnosis.ts';
import { findingLines } from '../status/text.ts';
import type { Where } from './where.ts';

/** Exit code 0 where nothing is found, else 1. */
export async function doctor(where: Where, name: string, json: boolean): Promise<void> {
  const diagnosis = (await byServer(where, name)) ?? (await byConfiguration(where, name));
  const { problems, findings } = diagnosis;
  process.stdout.write(json ? `${JSON.stringify(diagnosis, undefined, 2)}\n` : textOf(diagnosis));
  if (problems.length + findings.length > 0) process.exitCode = 1;
}

function textOf({ name, names, problems, findings }: Diagnosis): string {
  const count = problems.length + findings.length;
  const what = count === 0 ? 'nothing that would keep its CA from issuing' : `${count} to look at`;
  const lines = [
    `${name} (${names.join(' ')}): ${what}`,
    ...problems.map(({ detail }) => `  problem: ${detail}`),
    ...findingLines(findings),
  ];
  return `${lines.map(escapeControls).join('\n')}\n`;
}

async function byServer(where: Where, name: string): Promise<Diagnosis | undefined> {
  try {
    // Of our own server: the document is what renewals.ts made of the same type.
    return (await ControlClient.find(readPidFileSetting(where).pidFile).doctor(name)) as Diagnosis;
  } catch (error) {
    if (error instanceof ControlError && error.code === 'not-running') return undefined;
    throw error;
  }
}

/** Without a server, nobody can be reached; DNS and CAA can be looked at all the same. */
async function byConfiguration(where: Where, name: string): Promise<Diagnosis> {
  const { settings } = loadConfiguration(where);
  const domain = settings.domains.find((known) => known.name === name || known.domains.includes(name));
  if (!domain) throw new Error(`${name} is not a name of a managed domain`);
  await using preflights = new Preflights({
    settings: () => settings,
    store: undefined,
    logger: silent('md'),
    newClient: (directoryUrl, { caCertificateFile: file }) =>
      new AcmeClient({
        directoryUrl,
        userAgent: `latchkey/${version}`,
        ca: file === undefined ? undefined : readFileSync(file, 'utf8'),
      }),
  });
  const problem = challengeProblem(domain);
  return diagnose(domain, problem ? [problem] : [], [
    ...(await preflights.look(domain)),
    {
      severity: 'hint',
      kind: 'reach',
      name: domain.name,
      detail: 'no server is running, so whether the names lead to it was not looked at',
      remedy: 'start it (latchkey -k start) and look again',
    },
  ]);
}
