/**
 * The error log's contract and line format (httpd's):
 * `[Sun Nov 22 06:00:00.123456 2026] [md:notice] [pid 123:tid 123] AH10059: text`
 * Where lines go is the business of whoever made the Logger (server/ sends them to the supervisor).
 */
export const levels = [
  'emerg',
  'alert',
  'crit',
  'error',
  'warn',
  'notice',
  'info',
  'debug',
  'trace1',
  'trace2',
  'trace3',
  'trace4',
  'trace5',
  'trace6',
  'trace7',
  'trace8',
] as const;
export type Level = (typeof levels)[number];

/** A logger of one module (`md`, `ssl`, `tls`, `core`, `proxy`, …). */
export interface Logger {
  /** Writes one line if the module's LogLevel lets it through, as it always does a notice. Control characters in `text` are escaped. */
  log(level: Level, text: string): void;
  error(text: string): void;
  warn(text: string): void;
  notice(text: string): void;
  info(text: string): void;
  debug(text: string): void;
  enabled(level: Level): boolean;
}

/** Gives the Logger of a module. */
export type Loggers = (module: string) => Logger;

/** The LogLevel directive: one level for all, others by module. */
export interface LogLevels {
  readonly all: Level;
  readonly modules: Readonly<Record<string, Level>>;
}

/** Makes Loggers that hand finished lines (no newline at the end) to `write`. `levels` is asked at each line. */
export function createLoggers(write: (line: string) => void, levelsNow: () => LogLevels): Loggers {
  const known = new Map<string, Logger>();
  return (module) => {
    let logger = known.get(module);
    if (!logger) known.set(module, (logger = moduleLogger(module, write, levelsNow)));
    return logger;
  };
}

function moduleLogger(module: string, write: (line: string) => void, levelsNow: () => LogLevels): Logger {
  const enabled = (level: Level) => {
    // As httpd: starts, stops and new certificates are notices, and no LogLevel hides them.
    if (level === 'notice') return true;
    const { all, modules } = levelsNow();
    return levels.indexOf(level) <= levels.indexOf(modules[module] ?? all);
  };
  const log = (level: Level, text: string) => {
    if (enabled(level)) write(formatLine(new Date(), module, level, text));
  };
  return {
    log,
    enabled,
    error: (text) => log('error', text),
    warn: (text) => log('warn', text),
    notice: (text) => log('notice', text),
    info: (text) => log('info', text),
    debug: (text) => log('debug', text),
  };
}

/** One line of the error log, local time, without a newline. */
export function formatLine(when: Date, module: string, level: Level, text: string): string {
  const [day, month, date, year, time] = when.toString().split(' ', 5);
  const micros = String(when.getMilliseconds()).padStart(3, '0') + '000';
  return `[${day} ${month} ${date} ${time}.${micros} ${year}] [${module}:${level}] [pid ${process.pid}:tid ${process.pid}] ${escapeControls(text)}`;
}

/** What comes from the network ends up in logs: no line may be forged and no terminal be driven by it. */
export function escapeControls(text: string): string {
  // oxlint-disable-next-line eslint/no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => {
    if (c === '\n') return '\\n';
    if (c === '\r') return '\\r';
    if (c === '\t') return '\\t';
    return `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** Loggers that say nothing: the default of the library. */
export const silent: Loggers = createLoggers(
  () => {},
  () => ({ all: 'emerg', modules: {} }),
);
