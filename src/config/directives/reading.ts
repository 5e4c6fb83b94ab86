/** What acts while the text is read: inclusion, variables, conditions, modules. */
import { statSync } from 'node:fs';
import { Refusal, anywhere, declaring, serverOnly } from '../directive.ts';
import type { Directive, Family } from '../directive.ts';
import { isFolder } from '../glob.ts';
import { words } from '../lexer.ts';
import { acceptsModule, hasModule } from '../modules.ts';
import type { Reading } from '../reading.ts';
import { compareVersion } from '../version.ts';

const directive = declaring<Reading>();

/** A section that counts if `holds` says so. `!` before the argument negates. */
function condition(
  name: string,
  syntax: string,
  doc: string,
  holds: (reading: Reading, name: string) => boolean,
): Directive<Reading> {
  return directive({
    name,
    syntax,
    contexts: anywhere,
    doc,
    args: 'RAW_ARGS',
    apply(reading, text) {
      const negated = text.startsWith('!');
      const [argument] = words(negated ? text.slice(1) : text);
      if (!argument) throw new Refusal(`${name}> directive requires additional arguments`);
      reading.holds = holds(reading, argument) !== negated;
    },
  });
}

export const reading: Family<Reading> = {
  module: 'core',
  title: 'Reading the configuration',
  directives: [
    directive({
      name: 'ServerRoot',
      syntax: 'path',
      contexts: serverOnly,
      default: '-d on the command line, else /etc/latchkey',
      doc: 'Folder that relative paths hang off.',
      args: 'TAKE1',
      apply(reading, path) {
        if (reading.enclosing) {
          throw new Refusal(`ServerRoot cannot occur within <${reading.enclosing}> section`);
        }
        const root = reading.path(path);
        if (!isFolder(root)) throw new Refusal(`ServerRoot must be a valid directory: '${root}' is none`);
        reading.serverRoot = root;
      },
    }),
    directive({
      name: 'Include',
      syntax: 'file|folder|pattern',
      contexts: anywhere,
      doc: 'Reads other files in place, in order of their names. None to be found is an error.',
      args: 'TAKE1',
      apply: (reading, pattern) => reading.include(pattern, false),
    }),
    directive({
      name: 'IncludeOptional',
      syntax: 'file|folder|pattern',
      contexts: anywhere,
      doc: 'Include, but there may be no such file.',
      args: 'TAKE1',
      apply: (reading, pattern) => reading.include(pattern, true),
    }),
    directive({
      name: 'Define',
      syntax: 'name [value]',
      contexts: anywhere,
      doc: 'Defines a name for <IfDefine>, and what ${name} stands for from here on.',
      args: 'TAKE12',
      apply(reading, name, value) {
        if (name.includes(':')) throw new Refusal("Variable name must not contain ':'");
        reading.variables.define(name, value);
      },
    }),
    directive({
      name: 'UnDefine',
      syntax: 'name',
      contexts: anywhere,
      doc: 'Undoes a Define or -D.',
      args: 'TAKE1',
      apply: (reading, name) => reading.variables.undefine(name),
    }),
    directive({
      name: 'LoadModule',
      syntax: 'identifier file',
      contexts: serverOnly,
      doc: 'Accepted for what is built in, whether the file exists or not; a warning for others.',
      args: 'TAKE2',
      apply(reading, identifier) {
        if (acceptsModule(identifier)) return;
        reading.warn(
          'so',
          `LoadModule: ${identifier} is not part of Latchkey; its directives are unknown here`,
        );
      },
    }),
    directive({
      name: 'Error',
      syntax: 'message',
      contexts: anywhere,
      doc: 'Stops with the message.',
      args: 'RAW_ARGS',
      apply(_reading, message) {
        throw new Refusal(message.replace(/^"(.*)"$/, '$1'));
      },
    }),
    condition('<IfDefine', '[!]name', 'What is inside counts if the name is defined.', (reading, name) =>
      reading.variables.isDefined(name),
    ),
    condition(
      '<IfModule',
      '[!]identifier|source',
      'What is inside counts if the module is built in (md_module, mod_md.c).',
      (_reading, name) => hasModule(name),
    ),
    condition('<IfFile', '[!]path', 'What is inside counts if the file exists.', (reading, name) =>
      exists(reading.path(name)),
    ),
    condition(
      '<IfDirective',
      '[!]name',
      'What is inside counts if there is such a directive.',
      (reading, name) => reading.knows(name),
    ),
    condition('<IfSection', '[!]name', 'What is inside counts if there is such a section.', (reading, name) =>
      reading.knows(`<${name}`),
    ),
    directive({
      name: '<IfVersion',
      syntax: '[[!]operator] version',
      contexts: anywhere,
      doc: 'What is inside counts if httpd 2.4.71 compares so: = == > >= < <= ~, or =/regex/.',
      args: 'RAW_ARGS',
      apply(reading, text) {
        reading.holds = versionHolds(text);
      },
    }),
  ],
};

function versionHolds(text: string): boolean {
  const [first, second] = words(text);
  const operator = second === undefined ? '=' : (first ?? '');
  const version = second ?? first ?? '';
  try {
    const holds = compareVersion(operator, version);
    if (holds === undefined) throw new Refusal(`unrecognized operator '${operator}'`);
    return holds;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Refusal(
      `Version '${version}' appears to be invalid. It must have the format major[.minor[.patch]] where major, minor and patch are numbers, or be a regular expression.`,
    );
  }
}

function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}
