/**
 * `latchkey a2md`: mod_md's tool of this name. It works on a store directly, whether or not a server runs on it:
 * commands, messages, exit codes and the `-j` document are mod_md's.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { AcmeClient } from '../../acme/client.ts';
import { explain } from '../../base/errors.ts';
import { escapeControls } from '../../base/log.ts';
import { version } from '../../base/version.ts';
import type { ClientSettings } from '../../domains/issuers/acme.ts';
import type { MdDocument } from '../../store/documents.ts';
import type { FsStore } from '../../store/fs/fs-store.ts';
import { openStore } from '../open-store.ts';
import { register, unregister, validate } from './accounts.ts';
import { drive } from './drive.ts';
import { Failure, statusOf } from './failure.ts';
import * as registry from './registry.ts';
import { authorityUrl, httpUrl } from './values.ts';

interface MainOptions {
  readonly acme?: string;
  readonly cafile?: string;
  readonly dir?: string;
  readonly json?: boolean;
  readonly proxy?: string;
  readonly quiet?: number;
  readonly terms?: string;
  readonly verbose?: number;
  readonly version?: boolean;
}

interface DriveOptions {
  readonly challenge?: string;
  readonly force?: boolean;
  readonly reset?: boolean;
}

/** Where text goes: stdout and stderr. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const standard: Output = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
};

/** Runs one command line; gives the exit code: 0 or 1. */
export async function a2md(argv: readonly string[], output: Output = standard): Promise<number> {
  const run = new Run(output);
  const main = describe(run);
  try {
    await main.parseAsync(argv, { from: 'user' });
    run.finish();
    return 0;
  } catch (error) {
    // Help that was asked for is no failure.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    // Of a command line that can't be understood, too.
    run.options = main.opts<MainOptions>();
    run.finish(error);
    return 1;
  }
}

/** What a command works with, and what it has to say. */
class Run {
  options: MainOptions = {};
  readonly output: Output;
  readonly #shown: unknown[] = [];

  constructor(output: Output) {
    this.output = output;
  }

  get authority(): string | undefined {
    return this.options.acme;
  }

  async store(): Promise<FsStore> {
    const { dir } = this.options;
    if (dir === undefined) throw new Failure('EINVAL', 'need store directory for command: give -d');
    return openStore(resolve(dir));
  }

  /** `-p` counts, else the proxy of the managed domain. */
  readonly newClient = (authority: string, way?: Partial<ClientSettings>): AcmeClient => {
    const { cafile, proxy = way?.proxy?.url } = this.options;
    const ca = cafile === undefined ? undefined : readFileSync(cafile, 'utf8');
    return new AcmeClient({
      directoryUrl: authority,
      userAgent: `latchkey/${version}`,
      ca,
      ...(proxy === undefined ? {} : { proxy: { url: httpUrl(proxy, 'URL of a proxy') } }),
    });
  };

  show(md: MdDocument, renew?: boolean): void {
    // The key of an external account is a secret, and the document is made to be passed on.
    const eab = md.eab === undefined || md.eab === 'none' ? md.eab : { ...md.eab, hmac: '***' };
    this.#shown.push({ ...md, eab, ...(renew === undefined ? {} : { renew }) });
    if (!this.options.json) this.output.out(`md: ${md.name} [${md.domains.join(', ')}]\n`);
  }

  /** A line of what was done: on stdout, unless that is for JSON. */
  say(text: string): void {
    const write = this.options.json ? this.output.err : this.output.out;
    if ((this.options.quiet ?? 0) < 2) write(`${escapeControls(text)}\n`);
  }

  detail(text: string): void {
    const { verbose = 0, quiet = 0 } = this.options;
    if (verbose > quiet) this.output.err(`${escapeControls(text)}\n`);
  }

  finish(error?: unknown): void {
    // What is wrong with a command line commander has said itself.
    const unusable = error instanceof CommanderError;
    const failure = error === undefined ? undefined : statusOf(error);
    if (failure && !unusable) {
      const { status, description } = failure;
      this.output.err(`${escapeControls(explain(error))} [${status}(${description})]\n`);
    }
    if (!this.options.json) return;
    const document = { output: this.#shown, ...(failure ?? { status: 0 }) };
    this.output.out(`${JSON.stringify(document, undefined, 2)}\n`);
  }
}

function describe(run: Run): Command {
  const main = new Command('latchkey a2md')
    .description('Show and manipulate managed domains in a store, as mod_md does.')
    .enablePositionalOptions()
    .option('-a, --acme <url>', 'the URL of the ACME server directory')
    .option('-C, --cafile <file>', 'file with root certificates (PEM format)')
    .option('-d, --dir <folder>', 'the store')
    .option('-j, --json', 'produce JSON output')
    .option('-p, --proxy <url>', 'use the HTTP proxy')
    .option('-q, --quiet', 'say less', more, 0)
    .option('-t, --terms <terms>', 'you agree to the terms of service (a URL, or "accepted")')
    .option('-v, --verbose', 'say more', more, 0)
    .option('-V, --version', 'print the version')
    .allowExcessArguments()
    .action((options: MainOptions) => {
      const [unknown] = main.args;
      const known = main.commands.map((command) => command.name()).join(', ');
      if (unknown !== undefined) main.error(`there is no command '${unknown}'; there are: ${known}`);
      if (!options.version) main.help({ error: true });
      run.output.out(`version: ${version}\n`);
    });
  main.hook('preAction', () => {
    run.options = main.opts<MainOptions>();
  });
  describeRegistry(main, run);
  describeStore(main.command('store').description('manipulate the store itself'), run);
  describeAcme(main.command('acme').description('accounts at the ACME server'), run);
  for (const command of [main, ...main.commands.flatMap((child) => [child, ...child.commands])]) {
    command.exitOverride().configureOutput({ writeOut: run.output.out, writeErr: run.output.err });
  }
  return main;
}

function describeRegistry(main: Command, run: Run): void {
  main
    .command('add <names...>')
    .description('add a managed domain; it must not overlap with another')
    .action(async (names: string[]) => {
      const { md, renew } = await registry.add(await run.store(), names, run.authority);
      run.show(md, renew);
    });
  main
    .command('list [names...]')
    .description('list managed domains, all or those named')
    .action(async (names: string[]) => {
      const store = await run.store();
      const wanted = names.length > 0 ? names : await registry.names(store);
      for (const name of wanted) {
        const { md, renew } = await registry.find(store, name);
        run.show(md, renew);
      }
    });
  main
    .command('update <name> [aspect] [values...]')
    .description("change a managed domain's domains, contacts, agreement, account or ca")
    .action(async (name: string, aspect: string | undefined, values: string[]) => {
      const { md, renew } = await registry.update(
        await run.store(),
        words(name, aspect, values),
        run.authority,
      );
      run.show(md, renew);
    });
  main
    .command('drive [names...]')
    .description('obtain certificates where they are due')
    .option('-c, --challenge <type>', 'which challenge type to use')
    .option('-f, --force', 'renew what is not due, too')
    .option('-r, --reset', 'forget what is staged')
    .action((names: string[], options: DriveOptions) => driveAll(run, names, options));
}

async function driveAll(run: Run, names: readonly string[], options: DriveOptions): Promise<void> {
  const store = await run.store();
  const served = await store.servedProtocols();
  for (const name of names.length > 0 ? names : await registry.names(store)) {
    const outcome = await drive(store, name, {
      challenge: options.challenge,
      force: options.force === true,
      reset: options.reset === true,
      http: served?.http,
      caCertificateFile: run.options.cafile,
      newClient: run.newClient,
      tell: ({ detail }) => run.detail(`${name}: ${detail}`),
    });
    run.say(`${name}: ${outcome}`);
  }
}

function describeStore(store: Command, run: Run): void {
  store
    .command('add <names...>')
    .description('add a managed domain, unchecked')
    .action(async (names: string[]) =>
      run.show(await registry.addStored(await run.store(), names, run.authority)),
    );
  store
    .command('remove <names...>')
    .description('remove managed domains with all their files')
    .option('-f, --force', 'be silent about missing ones')
    .action(async (names: string[], { force }: { force?: boolean }) => {
      const opened = await run.store();
      for (const name of names) await registry.remove(opened, name, force === true);
    });
  store
    .command('list')
    .description('list all managed domains as they are stored')
    .action(async () => {
      const opened = await run.store();
      for (const name of await registry.names(opened)) run.show(await registry.findStored(opened, name));
    });
  store
    .command('update <name> [aspect] [values...]')
    .description("change a managed domain's domains or CA, unchecked")
    .action(async (name: string, aspect: string | undefined, values: string[]) =>
      run.show(await registry.updateStored(await run.store(), words(name, aspect, values), run.authority)),
    );
}

function describeAcme(acme: Command, run: Run): void {
  acme
    .command('newreg <contacts...>')
    .description('register a new account')
    .action(async (contacts: string[]) => {
      if (run.authority === undefined)
        throw new Failure('EINVAL', 'need the URL of the ACME server: give -a');
      const registration = { authority: authorityUrl(run.authority), contacts, terms: run.options.terms };
      const name = await register(await run.store(), run.newClient, registration);
      run.say(`registered: ${name}`);
    });
  acme
    .command('validate <accounts...>')
    .description('ask the CA whether accounts are good')
    .action(async (accounts: string[]) => {
      const store = await run.store();
      for (const account of accounts) {
        await validate(store, run.newClient, account);
        run.say(`account valid: ${account}`);
      }
    });
  acme
    .command('delreg <accounts...>')
    .description('deactivate accounts and remove them from the store')
    .action(async (accounts: string[]) => {
      const store = await run.store();
      for (const account of accounts) {
        run.say(`deleted: ${await unregister(store, run.newClient, account)}`);
      }
    });
}

function words(name: string, aspect: string | undefined, values: readonly string[]): string[] {
  return [name, ...(aspect === undefined ? [] : [aspect]), ...values];
}

function more(_: string, before: number): number {
  return before + 1;
}
