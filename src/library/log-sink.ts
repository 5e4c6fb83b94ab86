/** Log lines to a logger of the program's. */
import { escapeControls, type Level, levels, type Logger, type Loggers, silent } from '../base/log.ts';
import type { LogSink } from './options.ts';
import { worded } from './words.ts';

type Method = keyof LogSink;

/** `[md] text` by the method that fits its level; what is for tracing is left out. */
export function loggersTo(sink: LogSink | undefined): Loggers {
  if (!sink) return silent;
  return (module) => {
    const log = (level: Level, text: string) => {
      const method = methodOf(level);
      if (method) tell(sink, method, `[${module}] ${escapeControls(worded(text))}`);
    };
    const logger: Logger = {
      log,
      enabled: (level) => methodOf(level) !== undefined,
      error: (text) => log('error', text),
      warn: (text) => log('warn', text),
      notice: (text) => log('notice', text),
      info: (text) => log('info', text),
      debug: (text) => log('debug', text),
    };
    return logger;
  };
}

/** What can't be written there (a stream that is closed) can't be said anywhere, and is no reason to stop. */
function tell(sink: LogSink, method: Method, line: string): void {
  try {
    sink[method](line);
  } catch {}
}

function methodOf(level: Level): Method | undefined {
  if (levels.indexOf(level) <= levels.indexOf('error')) return 'error';
  if (level === 'notice') return 'info';
  return level === 'warn' || level === 'info' || level === 'debug' ? level : undefined;
}
