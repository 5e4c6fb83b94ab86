/** The handler of files and folders: `send` does conditions and ranges, the rest is httpd's manners. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { lstatSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { extname } from 'node:path/posix';
import send from 'send';
import { systemCode } from '../base/errors.ts';
import { hasOption } from '../config/merge.ts';
import type { DirectorySettings } from '../config/settings.ts';
import { accessDenied } from './access.ts';
import type { LiveExchange } from './live.ts';
import { listingPage } from './pages.ts';
import { entityTag } from './small-files.ts';
import type { SmallFiles } from './small-files.ts';
import { encodePath } from './target.ts';

/** What became of a path: answered, or what the pipeline has to do about it. */
export type FileResult =
  | { readonly kind: 'answered' }
  | { readonly kind: 'index'; readonly path: string }
  | { readonly kind: 'slash' }
  | {
      readonly kind: 'error';
      readonly status: number;
      readonly reason: string;
      readonly headers?: Readonly<Record<string, string>>;
    };

const answered: FileResult = { kind: 'answered' };
export const allowedMethods = 'GET,POST,OPTIONS,HEAD';

export function serveFile(
  exchange: LiveExchange,
  filename: string,
  smallFiles: SmallFiles,
): FileResult | Promise<FileResult> {
  const { method, response } = exchange;
  if (method === 'OPTIONS') {
    response.setHeader('Allow', allowedMethods);
    response.setHeader('Content-Length', '0');
    response.end();
    return answered;
  }
  if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') {
    return { kind: 'error', status: 405, reason: `${method} for a file`, headers: { Allow: allowedMethods } };
  }
  const found = fileAt(exchange, filename);
  if ('kind' in found) return found;
  if (found.isDirectory()) return serveFolder(exchange, filename);
  if (!found.isFile()) return refused(403, `Not a regular file: ${filename}`);
  // A slash after a file's name leads into the file, where nothing is.
  if (filename.endsWith('/')) return refused(404, `File does not exist: ${filename}`);
  return sendFile(exchange, filename, found, smallFiles);
}

/** What lies there, or why it isn't to be had: for whoever makes an answer of a file. */
export function fileAt(exchange: LiveExchange, filename: string): BigIntStats | FileResult {
  // An administrator's password files keep out of sight even where the configuration forgot the usual rule.
  if (/\/\.ht[^/]*\/?$/.test(filename)) return refused(403, `${accessDenied}: ${filename}`);
  if (filename.includes('\0')) return refused(404, 'File does not exist');
  try {
    if (!followsLinks(exchange.directory) && passesLink(filename, exchange.host.documentRoot)) {
      return refused(403, `Symbolic link not allowed: ${filename}`);
    }
    return stat(filename);
  } catch (error) {
    const code = systemCode(error) ?? '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return refused(404, `File does not exist: ${filename}`);
    return refused(403, `${code}: access to ${filename} denied`);
  }
}

/**
 * Synchronous, as in nginx and httpd: what it asks for is in the kernel's cache, and the way over Node's thread
 * pool costs more than all the rest of answering with a small file. Throws the system's error.
 */
function stat(filename: string): BigIntStats {
  return statSync(filename, { bigint: true });
}

function isFile(filename: string): boolean {
  try {
    return stat(filename).isFile();
  } catch {
    return false;
  }
}

function refused(status: number, reason: string): FileResult {
  return { kind: 'error', status, reason };
}

/** The default is FollowSymLinks. */
function followsLinks(directory: DirectorySettings): boolean {
  return hasOption(directory.options, 'followsymlinks') ?? true;
}

/** Whether one of the parts below the document root is a symbolic link. Throws the system's error. */
function passesLink(filename: string, root: string | undefined): boolean {
  const top = root !== undefined && filename.startsWith(`${root}/`) ? root.length : 0;
  for (let slash = filename.indexOf('/', top + 1); ; slash = filename.indexOf('/', slash + 1)) {
    const part = slash === -1 ? filename : filename.slice(0, slash);
    if (lstatSync(part).isSymbolicLink()) return true;
    if (slash === -1 || slash === filename.length - 1) return false;
  }
}

async function sendFile(
  exchange: LiveExchange,
  filename: string,
  stats: BigIntStats,
  smallFiles: SmallFiles,
): Promise<FileResult> {
  const { response, request, errorStatus } = exchange;
  exchange.handler ??= 'default-handler';
  const type = typeOf(exchange, filename);
  if (type === undefined) exchange.untyped = true;
  else response.setHeader('Content-Type', type);
  if (errorStatus !== undefined) response.statusCode = errorStatus;
  const small = isPlain(exchange)
    ? (smallFiles.kept(filename, stats) ?? (await smallFiles.read(filename, stats)))
    : undefined;
  response.setHeader('ETag', asOf(exchange.started, stats, small?.tag ?? entityTag(stats)));
  if (small) {
    response.setHeader('Accept-Ranges', 'bytes');
    response.setHeader('Last-Modified', small.modified);
    response.setHeader('Content-Length', small.content.length);
    response.end(small.content);
    return answered;
  }
  const { promise, resolve } = Promise.withResolvers<FileResult>();
  // An error page is sent whole, whatever the conditions on what was asked for.
  const asked = errorStatus === undefined ? request : { method: request.method, headers: {} };
  const stream = send(asked as IncomingMessage, filename.replaceAll('%', '%25'), {
    acceptRanges: errorStatus === undefined,
    cacheControl: false,
    dotfiles: 'allow',
    index: false,
  });
  stream.on('directory', () => resolve(refused(404, `File does not exist: ${filename}`)));
  stream.on('error', (error: Error & { status?: number; headers?: Record<string, string> }) => {
    const { status = 500, headers = {} } = error;
    resolve({ kind: 'error', status, reason: `${error.message}: ${filename}`, headers });
  });
  response.once('close', () => resolve(answered));
  stream.pipe(response as ServerResponse);
  return promise;
}

/** Whether the whole file is wanted, whatever its state; conditions and ranges are what `send` is for. */
function isPlain({ request: { headers }, method, errorStatus }: LiveExchange): boolean {
  return method === 'GET' && errorStatus === undefined && !CONDITIONS.some((name) => name in headers);
}

const CONDITIONS = ['range', 'if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since'];

/** Of the last extension; AddType of the place comes first. */
function typeOf({ directory, settings }: LiveExchange, filename: string): string | undefined {
  const extension = extname(filename).slice(1).toLowerCase();
  const own = directory.types;
  if (own && Object.hasOwn(own, extension)) return own[extension];
  return Object.hasOwn(settings.types, extension) ? settings.types[extension] : undefined;
}

/** Weak while the file could still change within the same second (as httpd). */
function asOf(now: number, { mtimeMs }: BigIntStats, tag: string): string {
  return now - Number(mtimeMs) < 1000 ? `W/${tag}` : tag;
}

function serveFolder(exchange: LiveExchange, filename: string): FileResult | Promise<FileResult> {
  const { directory, path } = exchange;
  if (!path.endsWith('/')) return { kind: 'slash' };
  for (const name of directory.directoryIndex ?? ['index.html']) {
    if (name === 'disabled') break;
    if (name.startsWith('/')) return { kind: 'index', path: name };
    const index = `${filename}${filename.endsWith('/') ? '' : '/'}${name}`;
    if (isFile(index)) return { kind: 'index', path: `${path}${name}` };
  }
  if (hasOption(directory.options, 'indexes') !== true) {
    return refused(
      403,
      `Cannot serve directory ${filename}: No matching DirectoryIndex found, and server-generated directory index forbidden by Options directive`,
    );
  }
  return list(exchange, filename);
}

async function list(exchange: LiveExchange, filename: string): Promise<FileResult> {
  const { path, response } = exchange;
  exchange.handler ??= 'httpd/unix-directory';
  const found = await readdir(filename, { withFileTypes: true });
  const names = found
    .filter((entry) => !entry.name.startsWith('.ht'))
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .sort();
  const entries = names.map((name) => ({ name, href: encodePath(name).replace(/^(?=[^/]*:)/, './') }));
  if (path !== '/') {
    const parent = path.slice(0, path.lastIndexOf('/', path.length - 2) + 1);
    entries.unshift({ name: 'Parent Directory', href: encodePath(parent) });
  }
  const body = Buffer.from(listingPage(path, entries));
  response.setHeader('Content-Type', 'text/html;charset=UTF-8');
  response.setHeader('Content-Length', String(body.length));
  response.end(body);
  return answered;
}
