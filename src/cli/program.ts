/** The arguments of `latchkey`: httpd's options, and our own commands. Each loads its code when it is called. */
import { resolve } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { LatchkeyError, explain } from '../base/errors.ts';
import type { CaOptions, RevokeCommandOptions, TrustOptions } from './ca.ts';
import { shows } from '../status/document.ts';
import type { ImportOptions } from './import/import.ts';
import type { Wanted } from './status.ts';
import type { StoreOptions } from './store.ts';
import { DEFAULT_CONFIGURATION, type Where } from './where.ts';

interface ServerOptions {
  d?: string;
  f?: string;
  k?: string;
  t?: boolean;
  S?: boolean;
  M?: boolean;
  V?: boolean;
  version?: boolean;
  X?: boolean;
  D: string[];
  C: string[];
  c: string[];
}

/** Runs one command line; sets the exit code. */
export async function run(argv: readonly string[]): Promise<void> {
  // Its options are mod_md's: -d, -t and -v mean something else there.
  if (argv[0] === 'a2md') {
    const { a2md } = await import('./a2md/a2md.ts');
    process.exitCode = await a2md(argv.slice(1));
    return;
  }
  const program = describe();
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 1;
      return;
    }
    process.stderr.write(`${message(error)}\n`);
    process.exitCode = 1;
  }
}

function message(error: unknown): string {
  if (error instanceof LatchkeyError && 'report' in error && typeof error.report === 'function') {
    return String(error.report());
  }
  return `latchkey: ${explain(error)}`;
}

function describe(): Command {
  const program = new Command('latchkey');
  program
    .description('TLS certificates that get, renew and serve themselves, with nothing restarted.')
    .usage('[options] [command]')
    .exitOverride()
    .showSuggestionAfterError()
    .addOption(rootOption())
    .addOption(fileOption())
    .addOption(
      new Option('-k <signal>', 'start, stop or reload the server').choices([
        'start',
        'stop',
        'restart',
        'graceful',
        'graceful-stop',
      ]),
    )
    .option('-t', 'check the configuration')
    .option('-S', 'show the virtual hosts as the configuration makes them (as -DDUMP_VHOSTS)')
    .option('-M', "show which of httpd's modules are built in (as -DDUMP_MODULES)")
    .option('-v, --version', 'show the version')
    .option('-V', 'the same')
    .option('-X', 'run in the foreground (as -DFOREGROUND)')
    .addOption(collected('-D <name>', 'define a name for <IfDefine>'))
    .addOption(collected('-C <directive>', 'process a directive before the configuration files'))
    .addOption(collected('-c <directive>', 'process a directive after the configuration files'))
    .helpCommand(true)
    .argument('[command]')
    .action(async (command: string | undefined, options: ServerOptions) => {
      if (command !== undefined) throw unknownCommand(program, command);
      await serve(options);
    });

  program
    .command('status')
    .argument('[name]', 'a managed domain (any of its names)')
    .description('what a running server has, does, and will do next')
    .addOption(rootOption())
    .addOption(fileOption())
    .addOption(new Option('--show <kind>', 'only domains of this kind').choices(shows))
    .option('--search <text>', 'only domains with a name that contains this')
    .option('--json', 'the status document')
    .action(async (name: string | undefined, own: Omit<Wanted, 'name'> & ServerOptions) => {
      const { status } = await import('./status.ts');
      await status(where(program, own), { ...own, name });
    });

  program
    .command('renew')
    .argument('<name>', 'a managed domain (any of its names)')
    .description('get a new certificate now, and show what happens until it is served')
    .addOption(rootOption())
    .addOption(fileOption())
    .action(async (name: string, own: ServerOptions) => {
      const { renew } = await import('./renew.ts');
      await renew(where(program, own), name);
    });

  program
    .command('doctor')
    .argument('<name>', 'a managed domain (any of its names)')
    .description('look at a domain as its CA is going to: DNS, CAA, whether its names lead here')
    .addOption(rootOption())
    .addOption(fileOption())
    .option('--json', 'the findings as JSON')
    .action(async (name: string, own: { json?: boolean } & ServerOptions) => {
      const { doctor } = await import('./doctor.ts');
      await doctor(where(program, own), name, own.json === true);
    });

  program
    .command('import')
    .argument('<path>', "another program's folder, or a PEM file")
    .description(
      "take over certificates, keys and accounts of certbot's, acme.sh's, lego's or Caddy's, or PEM files",
    )
    .addOption(rootOption())
    .addOption(fileOption())
    .option('--from <program>', 'certbot, acme.sh, lego, caddy or pem (default: found out)')
    .option('--store <folder>', "the store (default: the configuration's)")
    .option('--ca <url>', 'directory URL of the CA, where the folder does not tell')
    .option('--dry-run', 'show what would be done, and do nothing')
    .option('--force', 'replace certificates that the store has')
    .action(async (path: string, own: ImportOptions & ServerOptions) => {
      const { importFrom } = await import('./import/import.ts');
      await importFrom(path, own, where(program, own));
    });

  program
    .command('a2md')
    .description("mod_md's tool: managed domains of a store, and accounts ('a2md --help')");

  domainsCommand(program);

  program
    .command('store')
    .description('a certificate store over a folder of NAME.crt and NAME.key, by itself, until interrupted')
    .option('--dir <folder>', 'the folder', './certs')
    .option('--listen <address:port>', 'where it is asked, for /certs/NAME', '127.0.0.1:8888')
    .option('--token <token>', 'who asks must send it (default: $DYNSSL_TOKEN)')
    .option('--tls-cert <file>', 'over https, with this certificate (default: $DYNSSL_TLS_CERT)')
    .option('--tls-key <file>', 'and its key (default: $DYNSSL_TLS_KEY)')
    .action(async (options: StoreOptions) => (await import('./store.ts')).store(options));

  const ca = program.command('ca').description('the embedded certificate authority');
  withCaOptions(
    ca.command('run', { isDefault: true }).description('serve ACME by itself, until interrupted'),
  ).action(async (options: CaOptions) => (await import('./ca.ts')).run(options));
  ofCa(ca.command('trust').description('print the root certificate, or install it'))
    .option('--install', "put the root among the system's trusted ones")
    .action(async (options: TrustOptions & ServerOptions) => {
      const { trust } = await import('./ca.ts');
      await trust(options, namedServer(program, options));
    });
  ofCa(ca.command('revoke').description('revoke certificates that the CA issued, also while it runs'))
    .argument('<certificate>', 'a serial number, a certificate file, or a name (all valid ones with it)')
    .option('--reason <reason>', 'keyCompromise, superseded, cessationOfOperation, …', 'unspecified')
    .action(async (what: string, options: RevokeCommandOptions & ServerOptions) => {
      const { revoke } = await import('./ca.ts');
      await revoke(what, options, namedServer(program, options));
    });
  return program;
}

const ADD_WHAT = 'say which: names of one domain, or --from a file with a domain on each line';

function domainsCommand(program: Command): void {
  const domains = program.command('domains').description('managed domains of the running server');
  const of = (command: Command) => command.addOption(rootOption()).addOption(fileOption());
  of(domains.command('list', { isDefault: true }).description('what there is, configured and added'))
    .option('--json', 'as JSON')
    .action(async (own: { json?: boolean } & ServerOptions) => {
      const { listDomains } = await import('./domains.ts');
      await listDomains(where(program, own), own.json === true);
    });
  of(domains.command('add').description('get and serve a certificate for these names, from now on'))
    .argument('[name...]', 'the first names the domain')
    .option('--from <file>', "a domain on each line, names with blanks between them ('-': standard input)")
    .action(async (names: string[], own: { from?: string } & ServerOptions) => {
      const { addDomain, addDomains } = await import('./domains.ts');
      if (names.length > 0 === (own.from !== undefined)) throw new LatchkeyError('usage', ADD_WHAT);
      if (own.from === undefined) return addDomain(where(program, own), names);
      await addDomains(where(program, own), own.from);
    });
  of(domains.command('remove').description('serve and renew a domain no more that was added'))
    .argument('<name>')
    .action(async (name: string, own: ServerOptions) => {
      const { removeDomain } = await import('./domains.ts');
      await removeDomain(where(program, own), name);
    });
  of(domains.command('renew').description("as 'latchkey renew'"))
    .argument('<name>')
    .action(async (name: string, own: ServerOptions) => {
      const { renew } = await import('./renew.ts');
      await renew(where(program, own), name);
    });
  of(domains.command('flush').description('look for the certificates of a name anew'))
    .argument('<name>')
    .action(async (name: string, own: ServerOptions) => {
      const { flushDomain } = await import('./domains.ts');
      await flushDomain(where(program, own), name);
    });
}

function unknownCommand({ commands }: Command, command: string): LatchkeyError {
  const names = commands.map((known) => known.name()).join(', ');
  return new LatchkeyError('usage', `there is no command '${command}'; there are: ${names}`);
}

/** Options of commands about a CA's folder. */
function ofCa(command: Command): Command {
  return command
    .addOption(rootOption())
    .addOption(fileOption())
    .option('--dir <folder>', "the CA's folder (default: the server's, with -d or -f; else ./ca)");
}

/** The server that -d or -f name, before a command or after it; undefined where neither is given. */
function namedServer(program: Command, own: ServerOptions): Where | undefined {
  const { d, f } = program.opts<ServerOptions>();
  return (own.d ?? own.f ?? d ?? f) === undefined ? undefined : where(program, own);
}

function withCaOptions(command: Command): Command {
  return command
    .option('--dir <folder>', 'where root, intermediate and state are kept', './ca')
    .option('--listen <address:port>', 'where its ACME server listens', '127.0.0.1:14000')
    .option('--lifetime <duration>', 'lifetime of certificates: 30s, 10mi, 12h, 7d', '7d')
    .option('--http-port <port>', 'where http-01 challenges are looked for', '80')
    .option('--tls-port <port>', 'where tls-alpn-01 challenges are looked for', '443')
    .option('--resolver <address:port>', 'the DNS server to ask')
    .option('--eab', 'accept only accounts with an external account binding');
}

function rootOption(): Option {
  return new Option('-d <folder>', 'the ServerRoot');
}

function fileOption(): Option {
  return new Option('-f <file>', 'the configuration file (relative to the ServerRoot)');
}

function collected(flags: string, description: string): Option {
  return new Option(flags, description)
    .argParser((value: string, before: string[]) => [...before, value])
    .default([], 'none');
}

/** `-d` and `-f` count before a command and after it. */
function where(program: Command, own: ServerOptions): Where {
  const outer = program.opts<ServerOptions>();
  return {
    serverRoot: absolute(own.d ?? outer.d),
    file: own.f ?? outer.f ?? DEFAULT_CONFIGURATION,
    defines: outer.D,
    before: outer.C,
    after: outer.c,
  };
}

/** The server in the background has another working folder. */
function absolute(folder: string | undefined): string | undefined {
  return folder === undefined ? undefined : resolve(folder);
}

async function serve(options: ServerOptions): Promise<void> {
  const target: Where = {
    serverRoot: absolute(options.d),
    file: options.f ?? DEFAULT_CONFIGURATION,
    defines: options.D,
    before: options.C,
    after: options.c,
  };
  const defined = (...names: string[]) => names.some((name) => options.D.includes(name));
  if (options.version || options.V) {
    const { showVersion } = await import('./check.ts');
    return showVersion();
  }
  const hosts = options.S === true || defined('DUMP_VHOSTS', 'DUMP_RUN_CFG');
  const modules = options.M === true || defined('DUMP_MODULES');
  if (options.t || hosts || modules) {
    const { check } = await import('./check.ts');
    return check(target, { hosts, modules });
  }
  const foreground = options.X === true || defined('FOREGROUND');
  const commands = await import('./server-commands.ts');
  if (foreground && (options.k === undefined || options.k === 'start')) return commands.foreground(target);
  return commands.signal(target, options.k ?? 'start');
}
