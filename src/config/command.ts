/** Commands that a configuration names. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Refusal } from './directive.ts';
import { words } from './lexer.ts';
import { pathOf, type Scope } from './scope.ts';

/**
 * A command with its arguments. Without a slash it is searched for in PATH. One that can't be run is warned of and no
 * more: mod_md takes it, and it may be there when it is needed.
 */
export function commandOf(scope: Scope, name: string, text: string): readonly string[] {
  const [program = '', ...args] = words(text);
  if (program === '') throw new Refusal(`${name} needs the path of a command`);
  const withPath = program.includes('/');
  const path = withPath ? pathOf(scope, program) : program;
  const places = withPath ? [path] : (process.env['PATH'] ?? '').split(delimiter).map((at) => join(at, path));
  if (!places.some(isExecutable)) {
    const where = withPath ? '' : ' in PATH';
    scope.warn(
      'md',
      `${name}: '${path}' can't be run: there is no such program${where}, or it lacks chmod +x`,
    );
  }
  return [path, ...args];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
