/** What directives that act while the text is read (Include, Define, `<IfModule>` …) may use and do. */
import type { Warning } from './settings.ts';
import type { Variables } from './variables.ts';

export interface Reading {
  readonly variables: Variables;
  serverRoot: string;
  /** Absolute, `..` resolved, relative paths below ServerRoot. */
  path(name: string): string;
  /** Reads more files; none that match is an error unless `optional`. */
  include(pattern: string, optional: boolean): void;
  /** Whether there is a directive (or, with `<` before it, a section) of this name. */
  knows(name: string): boolean;
  warn(module: Warning['module'], message: string): void;
  /** The section that the line stands in, without `<`; undefined outside of all. */
  readonly enclosing: string | undefined;
  /** Of a conditional section: whether its content counts. */
  holds: boolean;
}
