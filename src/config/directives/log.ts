/** Logs. */
import { levels } from '../../base/log.ts';
import type { Level } from '../../base/log.ts';
import { Refusal, anywhere, declaring, servers } from '../directive.ts';
import type { Family } from '../directive.ts';
import { logName } from '../modules.ts';
import { here, pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';

const directive = declaring<Scope>();

/** httpd's names for formats that need no LogFormat. */
export const builtInFormats: readonly (readonly [name: string, format: string])[] = [
  ['CLF', '%h %l %u %t "%r" %>s %b'],
];

export const log: Family<Scope> = {
  module: 'log_config',
  title: 'Logs',
  directives: [
    directive({
      name: 'ErrorLog',
      syntax: 'file',
      contexts: servers,
      default: 'logs/error_log',
      doc: 'File of the error log.',
      args: 'TAKE1',
      apply(scope, file) {
        scope.host.errorLog = logFile(scope, 'ErrorLog', file);
      },
    }),
    directive({
      name: 'LogLevel',
      syntax: '[module:]level …',
      contexts: anywhere,
      default: 'warn',
      doc: 'What goes into the error log: emerg to debug and trace1 to trace8, for all or by module.',
      args: 'ITERATE',
      apply: logLevel,
    }),
    directive({
      name: 'LogFormat',
      syntax: 'format [name]',
      contexts: servers,
      doc: 'Names a format for CustomLog.',
      args: 'TAKE12',
      apply(scope, format, name) {
        checkFormat(format);
        if (name === undefined) {
          scope.warn('log_config', 'LogFormat without a name does nothing: TransferLog is not supported');
        } else scope.server.logFormats.set(name, format);
      },
    }),
    directive({
      name: 'CustomLog',
      syntax: 'file format|name [env=[!]variable]',
      contexts: servers,
      doc: 'A log of requests. A virtual host that has one of its own is not in the base server’s.',
      args: 'TAKE23',
      apply(scope, file, format, clause) {
        checkFormat(format);
        scope.host.logs.push({
          file: logFile(scope, 'CustomLog', file),
          format,
          condition: clause === undefined ? undefined : environmentClause(clause),
          at: here(scope),
        });
      },
    }),
  ],
};

function logFile(scope: Scope, name: string, file: string): string {
  if (file.startsWith('|') || /^syslog(:|$)/i.test(file)) {
    throw new Refusal(
      `${name}: '${file}' is not supported: name a file (logrotate with copytruncate or a graceful restart works)`,
    );
  }
  return pathOf(scope, file);
}

function environmentClause(clause: string): string {
  if (/^env=!?./i.test(clause)) return clause.slice('env='.length);
  if (/^expr=/i.test(clause)) {
    throw new Refusal('CustomLog: expr= is not supported yet by this version of Latchkey; use env=');
  }
  throw new Refusal(`error in condition clause '${clause}': use env=variable or env=!variable`);
}

function logLevel(scope: Scope, ...words: string[]): void {
  if (scope.inside.directory) {
    scope.warn(
      'core',
      `LogLevel within <${scope.inside.directory}> is ignored: it counts for whole hosts here`,
    );
    return;
  }
  for (const word of words) {
    const colon = word.indexOf(':');
    const level = levelOf(word.slice(colon + 1), word);
    if (colon < 0) {
      scope.host.logLevel = level;
      scope.host.logModules.clear();
      continue;
    }
    const name = word.slice(0, colon);
    const module = logName(name);
    if (module === undefined) throw new Refusal(`Cannot find module ${name}`);
    scope.host.logModules.set(module, level);
  }
}

function levelOf(text: string, word: string): Level {
  const level = levels.find((one) => one === text.toLowerCase());
  if (level) return level;
  throw new Refusal(
    `${word}: Log level keyword must be one of emerg/alert/crit/error/warn/notice/info/debug/trace1/.../trace8`,
  );
}

/** Letters that a request log may have after `%`, modifiers and `{…}`. */
const known = /^(?:[%aAbBcCDefhHiklLmnopPqrRstTuUvVxXIOS]|\^t[io])/;

function checkFormat(format: string): void {
  for (const [, rest = ''] of format.matchAll(/%[!,\d<>]*(?:\{[^}]*\})?((?:.|$).{0,2})/gs)) {
    if (!known.test(rest)) throw new Refusal(`Unrecognized LogFormat directive %${rest.charAt(0)}`);
  }
}
