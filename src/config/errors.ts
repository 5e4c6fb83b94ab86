import { LatchkeyError } from '../base/errors.ts';
import type { Position, Warning } from './settings.ts';

/** As many further errors fit on a terminal. */
const FURTHER_SHOWN = 20;

/**
 * The configuration is wrong. `message` says what and the remedy; `format()` puts it as httpd does. Without a
 * position where no line is to blame (the main file cannot be opened).
 */
export class ConfigError extends LatchkeyError<'config-syntax'> {
  readonly file: string | undefined;
  /** Counted from 1; of a continued line, the last one (as httpd counts). */
  readonly line: number | undefined;
  /** What was found odd before: perhaps the reason. */
  warnings: readonly Warning[] = [];
  /** What else has to be mended, in the order of the files: whoever migrates wants to know it at once. */
  further: readonly ConfigError[] = [];

  constructor(message: string, at?: Position, options?: ErrorOptions) {
    super('config-syntax', message, options);
    this.file = at?.file;
    this.line = at?.line;
  }

  /** `AH00526: Syntax error on line N of FILE:`, newline, message: what goes to stderr. */
  format(): string {
    if (this.file === undefined || this.line === undefined) return this.message;
    return `AH00526: Syntax error on line ${this.line} of ${this.file}:\n${this.message}`;
  }

  /** For a terminal: the warnings, a line each, then format() of this and of what else is wrong. */
  report(): string {
    const shown = this.further.slice(0, FURTHER_SHOWN);
    const lines = [...this.warnings.map(formatWarning), ...[this, ...shown].map((error) => error.format())];
    if (shown.length < this.further.length) lines.push(`and ${this.further.length - shown.length} more`);
    return lines.join('\n');
  }

  override toString(): string {
    return this.format();
  }
}

/** A warning as a line for a terminal. */
export function formatWarning({ module, message, file, line }: Warning): string {
  return `[${module}:warn] ${message} (${file}:${line})`;
}
