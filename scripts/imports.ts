/**
 * Import directions: which room of src/ may look into which. `npm run imports` fails on an import that goes
 * another way, on one of a package that package.json does not name, and on product code that loads tests.
 * Types count like anything else.
 */
import { globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { parseSync } from 'oxc-parser';

/** Room → rooms (or single files) that its code may import. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  base: [],
  pki: ['base'],
  store: ['base', 'pki'],
  acme: ['base', 'pki'],
  ca: ['base', 'pki'],
  certificates: ['base', 'pki'],
  domains: ['base', 'pki', 'acme', 'store'],
  ocsp: ['base', 'pki', 'store'],
  'store-server': ['base', 'pki', 'certificates'],
  crl: ['base', 'pki', 'store'],
  tls: ['base', 'pki', 'certificates'],
  // Settings are made of the engine's own settings: types only; of TLS, the names of what it offers.
  config: [
    'base',
    'domains/settings.ts',
    'ca/settings.ts',
    'certificates/sources/settings.ts',
    'pki/keyspec.ts',
    'tls/suites.ts',
  ],
  http: ['base', 'tls', 'config'],
  // Documents are made of what is known of certificates: types only.
  status: ['base', 'domains', 'ocsp', 'pki/transparency.ts'],
  library: [
    'base',
    'pki',
    'acme',
    'store',
    'ca',
    'certificates',
    'domains',
    'ocsp',
    'tls',
    'config/authorities.ts',
  ],
  // The public face.
  'index.ts': ['library', 'base', 'store', 'domains'],
  server: [
    'base',
    'acme',
    'store',
    'ca',
    'certificates',
    'domains',
    'ocsp',
    'store-server',
    'crl',
    'tls',
    'config',
    'http',
    'status',
  ],
  cli: [
    'base',
    'pki',
    'acme',
    'store',
    'ca',
    'certificates',
    'domains',
    'store-server',
    'config',
    'status',
    'server',
  ],
};

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> };
const isTest = (file: string) => /\.(?:test|testing)\.ts$/.test(file);

const files = globSync('src/**/*.ts');
const problems = files.flatMap((file) =>
  importsOf(file).flatMap((specifier) => {
    const problem = problemOf(file, specifier);
    return problem === undefined ? [] : [`${file}: '${specifier}' ${problem}`];
  }),
);
for (const problem of problems) console.error(problem);
console.log(`imports: ${files.length} files looked at, ${problems.length} imports go where they must not`);
// A check that looks at nothing would always pass.
process.exitCode = problems.length > 0 || files.length < 100 ? 1 : 0;

/** Every module that a file names: imports, re-exports, import() of a literal. */
function importsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8');
  const { module, errors } = parseSync(file, source);
  const [error] = errors;
  if (error) throw new Error(`${file}: ${error.message}`);
  return [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.map(({ moduleRequest }) => moduleRequest?.value),
    ),
    ...module.dynamicImports.map(
      ({ moduleRequest: { start, end } }) => /^['"](.*)['"]$/.exec(source.slice(start, end))?.[1],
    ),
  ].filter((specifier) => specifier !== undefined);
}

function problemOf(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return isTest(file) ? undefined : packageProblem(specifier);
  const target = normalize(join(dirname(file), specifier));
  if (isTest(file)) return undefined;
  if (isTest(target) || target.startsWith('test/')) return 'is a test, which the product must not load';
  if (!target.startsWith('src/')) return 'is not part of the product';
  const [room, path] = [roomOf(file), target.slice('src/'.length)];
  const allowed = [room, ...(MAY[room] ?? [])].some((may) => path === may || path.startsWith(`${may}/`));
  return allowed ? undefined : `is not for ${room}/ to look into (scripts/imports.ts)`;
}

function packageProblem(specifier: string): string | undefined {
  if (isBuiltin(specifier)) return undefined;
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  return name in manifest.dependencies ? undefined : 'is not among the dependencies in package.json';
}

function roomOf(file: string): string {
  return file.split('/')[1] ?? '';
}
