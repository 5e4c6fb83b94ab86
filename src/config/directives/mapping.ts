/** From URLs to files and answers: aliases, redirects, handlers, types. */
import { STATUS_CODES } from 'node:http';
import { Refusal, anywhere, declaring, serverOnly, servers } from '../directive.ts';
import type { Directive, Family } from '../directive.ts';
import { changeOptions } from '../merge.ts';
import { compile } from './sections.ts';
import { here, pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import type { ErrorDocument, OptionsChange } from '../settings.ts';

const directive = declaring<Scope>();

export const mapping: Family<Scope> = {
  module: 'alias',
  title: 'Files, redirects, handlers and types',
  directives: [
    directive({
      name: 'Alias',
      syntax: '[URL-path] path',
      contexts: anywhere,
      doc: 'Serves a file or folder under a URL path; in <Location> its path is the section’s.',
      args: 'TAKE12',
      apply(scope, first, second) {
        const from = second === undefined ? scope.location : first;
        if (from === undefined) throw new Refusal('Alias must have two arguments when used globally');
        if (scope.inside.directory && second !== undefined) {
          throw new Refusal('Alias takes one argument, the path, when used in <Location>');
        }
        scope.host.mappings.push({ kind: 'alias', from, to: keepSlash(scope, second ?? first) });
      },
    }),
    directive({
      name: 'AliasMatch',
      syntax: 'regex path',
      contexts: servers,
      doc: 'Serves files under URL paths that match; $1 in the path is what the first brackets matched.',
      args: 'TAKE2',
      apply(scope, pattern, path) {
        scope.host.mappings.push({ kind: 'alias', from: compile(pattern), to: keepSlash(scope, path) });
      },
    }),
    redirect('Redirect', undefined),
    directive({
      name: 'RedirectMatch',
      syntax: '[status] regex [URL]',
      contexts: servers,
      doc: 'Sends the client elsewhere from URL paths that match; $1 in the URL is what the first brackets matched.',
      args: 'TAKE123',
      apply(scope, ...args) {
        const words = args.filter((word) => word !== undefined);
        const { status, rest } = takeStatus('RedirectMatch', words);
        const [pattern, to] = rest;
        if (pattern === undefined) throw new Refusal('RedirectMatch: the pattern is missing');
        checkTarget('RedirectMatch', status, to);
        scope.host.mappings.push({ kind: 'redirect', from: compile(pattern), status, to });
      },
    }),
    redirect('RedirectPermanent', 301),
    redirect('RedirectTemp', 302),
    directive({
      name: 'ErrorDocument',
      syntax: 'status text|path|URL|default',
      contexts: anywhere,
      doc: 'What to answer instead of the built-in page of an error.',
      args: 'TAKE2',
      apply: errorDocument,
    }),
    directive({
      name: 'DirectoryIndex',
      syntax: 'file … | disabled',
      contexts: anywhere,
      default: 'index.html',
      doc: 'Files to serve for a folder, the first there is.',
      args: 'TAKE_ARGV',
      apply(scope, ...files) {
        const [only] = files;
        if (files.length === 1 && only?.toLowerCase() === 'disabled') scope.directory.directoryIndex = [];
        else scope.directory.directoryIndex = [...(scope.directory.directoryIndex ?? []), ...files];
      },
    }),
    directive({
      name: 'Options',
      syntax: '[+|-]option …',
      contexts: anywhere,
      default: 'FollowSymLinks',
      doc: 'What is allowed for files: Indexes, ExecCGI, FollowSymLinks, SymLinksIfOwnerMatch, All, None.',
      args: 'TAKE_ARGV',
      apply(scope, ...options) {
        const change = optionsChange(options);
        scope.directory.options = changeOptions(scope.directory.options, change);
      },
    }),
    directive({
      name: 'AllowOverride',
      syntax: 'None',
      contexts: ['directory'],
      default: 'None',
      doc: 'No .htaccess files are read; anything but None is refused.',
      args: 'TAKE_ARGV',
      apply(_scope, ...what) {
        if (what.every((word) => word.toLowerCase() === 'none')) return;
        throw new Refusal(
          `AllowOverride ${what.join(' ')} is not supported: no .htaccess file is read. Move their directives into a <Directory> section and say AllowOverride None.`,
        );
      },
    }),
    directive({
      name: 'SetHandler',
      syntax: 'handler|none',
      contexts: anywhere,
      doc: 'Answers by a handler (md-status, server-status, cgi-script) instead of a file.',
      args: 'TAKE1',
      apply(scope, handler) {
        if (/^expr=/i.test(handler)) {
          throw new Refusal('SetHandler expr= is not supported yet by this version of Latchkey; use <If>');
        }
        if (!HANDLERS.includes(handler)) {
          const known = HANDLERS.join(', ');
          scope.warn(
            'core',
            `SetHandler: there is no handler '${handler}', requests get 500; there are: ${known}`,
          );
        }
        scope.directory.handler = handler;
      },
    }),
    directive({
      name: 'AddHandler',
      syntax: 'cgi-script|type-map|send-as-is extension …',
      contexts: anywhere,
      doc: 'Files with these extensions are scripts; handlers of content negotiation are ignored, others not supported yet.',
      args: 'ITERATE2',
      apply(scope, handler, ...extensions) {
        if (handler === 'cgi-script') return addHandlers(scope, extensions, handler);
        if (handler !== 'type-map' && handler !== 'send-as-is') {
          throw new Refusal(
            `AddHandler ${handler} is not supported yet by this version of Latchkey: such files would be served as they are`,
          );
        }
        scope.warn('mime', `AddHandler ${handler} has no effect in Latchkey and is ignored`);
        return undefined;
      },
    }),
    directive({
      name: 'RemoveHandler',
      syntax: 'extension …',
      contexts: anywhere,
      doc: 'Files with these extensions have no handler, whatever AddHandler said further out.',
      args: 'ITERATE',
      apply: (scope, ...extensions) => addHandlers(scope, extensions, null),
    }),
    directive({
      name: 'AddType',
      syntax: 'type extension …',
      contexts: anywhere,
      doc: 'The Content-Type of files by extension.',
      args: 'ITERATE2',
      apply(scope, type, ...extensions) {
        // httpd takes such a type for a handler's name.
        if (type.toLowerCase().startsWith('application/x-httpd-')) {
          throw new Refusal(
            `AddType ${type} is not supported by Latchkey: such files would be served as they are`,
          );
        }
        const added = extensions.map((one) => [one.replace(/^\./, '').toLowerCase(), type] as const);
        if (scope.directory === scope.server.base.directory) {
          for (const [extension] of added) scope.server.types.set(extension, type);
        } else scope.directory.types = { ...scope.directory.types, ...Object.fromEntries(added) };
      },
    }),
    directive({
      name: 'TypesConfig',
      syntax: 'file',
      contexts: serverOnly,
      default: 'conf/mime.types if there is one, else a built-in list',
      doc: 'File of Content-Types by extension.',
      args: 'TAKE1',
      apply(scope, file) {
        scope.server.typesConfig = { file: pathOf(scope, file), at: here(scope) };
      },
    }),
  ],
};

/** What workers answer by. */
const HANDLERS: readonly string[] = [
  'md-status',
  'certificate-status',
  'server-status',
  'latchkey-metrics',
  'dynssl-status',
  'dynssl-flush',
  'dynssl-store',
  'cgi-script',
  'default-handler',
  'none',
];

function addHandlers(scope: Scope, extensions: readonly string[], handler: string | null): void {
  const added = extensions.map((one) => [one.replace(/^\./, '').toLowerCase(), handler] as const);
  scope.directory.handlers = { ...scope.directory.handlers, ...Object.fromEntries(added) };
}

/** Prefixes are swapped as they stand, so a slash at the end matters. */
export function keepSlash(scope: Scope, path: string): string {
  const absolute = pathOf(scope, path);
  return path.endsWith('/') && !absolute.endsWith('/') ? `${absolute}/` : absolute;
}

const statusNames: Readonly<Record<string, number>> = { permanent: 301, temp: 302, seeother: 303, gone: 410 };

function redirect(name: string, fixed: number | undefined): Directive<Scope> {
  return directive({
    name,
    syntax: `${fixed === undefined ? '[status] ' : ''}[URL-path] URL`,
    contexts: anywhere,
    doc: 'Sends the client elsewhere (302 unless said); in <Location> without the path.',
    args: 'TAKE123',
    apply(scope, ...args) {
      const words = args.filter((word) => word !== undefined);
      const { status, rest } = fixed === undefined ? takeStatus(name, words) : { status: fixed, rest: words };
      const from = scope.inside.directory ? undefined : rest.shift();
      const [to, ...more] = rest;
      if (more.length > 0)
        throw new Refusal(`${name}: a path belongs outside of <${scope.inside.directory}>`);
      checkTarget(name, status, to);
      if (scope.inside.directory) scope.directory.redirect = { status, to };
      else if (from === undefined) throw new Refusal(`${name}: the path to redirect is missing`);
      else scope.host.mappings.push({ kind: 'redirect', from, status, to });
    },
  });
}

/** The status may be left out: 302. */
function takeStatus(name: string, words: readonly string[]): { status: number; rest: string[] } {
  const [first = '', ...rest] = words;
  const named = statusOf(first);
  if (named !== undefined) return { status: named, rest };
  if (words.length === 3) throw new Refusal(`${name}: invalid first argument (of three)`);
  return { status: 302, rest: [...words] };
}

function statusOf(word: string): number | undefined {
  return statusNames[word.toLowerCase()] ?? (/^\d+$/.test(word) ? Number(word) : undefined);
}

function checkTarget(name: string, status: number, to: string | undefined): void {
  if (status < 300 || status > 599 || (status >= 400 && to !== undefined)) {
    throw new Refusal(`${name} URL not valid for this status`);
  }
  if (status < 400 && to === undefined) throw new Refusal('URL to redirect to is missing');
  if (to !== undefined && !to.startsWith('/') && !/^[a-z][a-z\d+.-]*:/i.test(to)) {
    throw new Refusal(`${name} to non-URL '${to}'`);
  }
}

function errorDocument(scope: Scope, code: string, text: string): void {
  const status = Number(code);
  if (!/^\d{3}$/.test(code) || !(status in STATUS_CODES)) {
    throw new Refusal(`Unsupported HTTP response code ${code}`);
  }
  const document = documentOf(text);
  if (status === 401 && document.kind === 'url') {
    scope.warn('core', 'cannot use a full URL in a 401 ErrorDocument directive --- ignoring!');
    return;
  }
  scope.directory.errorDocuments = { ...scope.directory.errorDocuments, [status]: document };
}

function documentOf(text: string): ErrorDocument {
  if (text.toLowerCase() === 'default') return { kind: 'default' };
  if (text.startsWith('/')) return { kind: 'path', path: text };
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(text)) return { kind: 'url', url: text };
  return { kind: 'text', text: text.replace(/^"/, '') };
}

const everyOption = ['Indexes', 'Includes', 'FollowSymLinks', 'SymLinksIfOwnerMatch', 'ExecCGI'];
const options = new Map(
  [...everyOption, 'IncludesNOEXEC', 'MultiViews'].map((option) => [option.toLowerCase(), option]),
);

function optionsChange(words: readonly string[]): OptionsChange {
  const signed = words.filter((word) => /^[+-]/.test(word));
  if (signed.length > 0 && signed.length < words.length) {
    throw new Refusal('Either all Options must start with + or -, or no Option may.');
  }
  if (signed.length === 0) {
    return { kind: 'set', options: [...new Set(words.flatMap((word) => meaning(word)))] };
  }
  const bare = (sign: string) =>
    signed.filter((word) => word.startsWith(sign)).flatMap((word) => meaning(word.slice(1), word));
  return { kind: 'change', add: bare('+'), remove: bare('-') };
}

function meaning(word: string, signed?: string): readonly string[] {
  const lower = word.toLowerCase();
  if (lower === 'all' && signed !== undefined) {
    throw new Refusal("You may not use 'Options +All' or 'Options -All'.");
  }
  if (lower === 'all') return everyOption;
  if (lower === 'none') return [];
  const option = options.get(lower);
  if (option === undefined) throw new Refusal(`Illegal option ${word}`);
  return [option];
}
