/**
 * Writes docs/directives.md, the reference of directives, from their declarations:
 *
 *     node scripts/directives.ts
 */
import { writeFileSync } from 'node:fs';
import { ignored } from '../src/config/directives/ignored.ts';
import { reading } from '../src/config/directives/reading.ts';
import { unsupported } from '../src/config/directives/unsupported.ts';
import { families } from '../src/config/registry.ts';

interface Documented {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly syntax: string;
  readonly contexts: readonly string[];
  readonly default?: string;
  readonly doc: string;
}

export const page = new URL('../docs/directives.md', import.meta.url);

/** The whole page. */
export function render(): string {
  return [
    introduction,
    ...[reading, ...families].map((family) => table(family.title, family.directives)),
    `## Ignored\n\nAccepted with one warning each; they change nothing here.\n\n${list(ignored.keys())}\n`,
    `## Not supported\n\nKnown, and an error: leaving them out silently would change what is served or who may.\n\n${list(unsupported.keys())}\n`,
  ].join('\n');
}

const introduction = `<!-- Written by scripts/directives.ts from src/config/directives/. Change those, not this. -->

# Directives

The configuration language is that of httpd 2.4: one directive a line, a backslash at the end continues it, \`#\` begins a comment only at the start of a line, words with blanks in quotes. Paths are relative to ServerRoot.

Durations of MD and LocalCA directives are \`14d\`, \`12h\`, \`30mi\`, \`90s\`, \`500ms\`. *Contexts*: server config is outside of all sections, virtual host inside \`<VirtualHost>\`, directory inside \`<Directory>\`, \`<Location>\`, \`<Files>\`, \`<If>\` and \`<Proxy>\`, managed domain inside \`<MDomain>\`, authorization inside \`<RequireAny>\` and its like.
`;

function table(title: string, directives: readonly Documented[]): string {
  const rows = directives.map((directive) => {
    const { syntax, contexts, doc } = directive;
    const cells = [
      names(directive),
      code(syntax),
      plain(directive.default ?? ''),
      contexts.join(', '),
      plain(doc),
    ];
    return `| ${cells.map(escape).join(' | ')} |`;
  });
  return [
    `## ${title}\n`,
    '| Directive | Arguments | Default | Contexts | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function names({ name, aliases = [] }: Documented): string {
  return [name, ...aliases].map(shown).join(', ');
}

function shown(name: string): string {
  return code(name.startsWith('<') ? `${name}>` : name);
}

const code = (text: string): string => (text === '' ? '' : `\`${text}\``);

/** Markdown would take `<VirtualHost>` for HTML. */
const plain = (text: string): string => text.replaceAll('<', '&lt;');

const escape = (cell: string): string => cell.replaceAll('|', '\\|');

function list(all: Iterable<string>): string {
  return [...all]
    .map(shown)
    .sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
    .join(', ');
}

if (import.meta.main) writeFileSync(page, render());
