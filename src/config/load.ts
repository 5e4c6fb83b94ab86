/**
 * From files to Settings.
 *
 *     const { settings } = loadConfiguration({ file: 'conf/httpd.conf', defines: [], before: [], after: [] });
 */
import { resolve } from 'node:path';
import { DEFAULT_PID_FILE, assemble } from './assemble.ts';
import { newServer } from './draft.ts';
import { ConfigError } from './errors.ts';
import { evaluate } from './evaluate.ts';
import { words } from './lexer.ts';
import { Reader } from './reader.ts';
import { knows, readingDirectives } from './registry.ts';
import { rootScope } from './scope.ts';
import type { Settings } from './settings.ts';
import { Variables } from './variables.ts';

/** Where the configuration is looked for if nobody says. */
export const DEFAULT_SERVER_ROOT = '/etc/latchkey';

export interface ConfigurationSource {
  /** `-f`: relative to ServerRoot. */
  readonly file: string;
  /** `-d`: relative to the current folder. A ServerRoot line overrides it from there on. */
  readonly serverRoot?: string | undefined;
  /** `-D` names. */
  readonly defines: readonly string[];
  /** `-C` directives, taken before the file. */
  readonly before: readonly string[];
  /** `-c` directives, taken after it. */
  readonly after: readonly string[];
  /** For `${NAME}`; default process.env. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * Reads and checks a whole configuration, synchronously. Throws ConfigError (`config-syntax`) for anything
 * that is wrong with it. Of certificate files it looks only whether they are there.
 */
export function loadConfiguration(source: ConfigurationSource): { readonly settings: Settings } {
  const { reader, file } = open(source, true);
  try {
    read(reader, file, source);
    const server = newServer(reader.serverRoot);
    evaluate(reader.tree, rootScope(server, reader.warnings));
    return { settings: assemble(server, file, reader.warnings) };
  } catch (error) {
    if (error instanceof ConfigError) error.warnings = reader.warnings;
    throw error;
  }
}

/**
 * What `-k stop` needs, from the main file alone: Include lines are passed over and the first error ends the
 * reading without a word, so that a server can be stopped while its configuration is broken.
 */
export function readPidFileSetting(source: ConfigurationSource): {
  readonly serverRoot: string;
  readonly pidFile: string;
} {
  const { reader, file } = open(source, false);
  try {
    read(reader, file, source);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
  }
  const line = reader.tree.findLast((node) => node.name.toLowerCase() === 'pidfile');
  const pidFile = (line && words(line.text)[0]) ?? DEFAULT_PID_FILE;
  return { serverRoot: reader.serverRoot, pidFile: resolve(reader.serverRoot, pidFile) };
}

function open(source: ConfigurationSource, includes: boolean): { reader: Reader; file: string } {
  const serverRoot = resolve(source.serverRoot ?? DEFAULT_SERVER_ROOT);
  const reader = new Reader({
    serverRoot,
    variables: new Variables(source.defines, source.environment ?? process.env),
    directives: readingDirectives,
    knows,
    includes,
  });
  return { reader, file: resolve(serverRoot, source.file) };
}

function read(reader: Reader, file: string, source: ConfigurationSource): void {
  for (const line of source.before) reader.text(line, 'Command line: -C');
  reader.file(file);
  for (const line of source.after) reader.text(line, 'Command line: -c');
}
