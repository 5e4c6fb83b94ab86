/** The package as a program gets it: packed, installed into a folder of its own, compiled against and run. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePorts } from './latchkey.testing.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const MINUTE = 60_000;

/** The README's lines, with ports that a test may take, and a visitor. */
const program = (http: number, https: number) => `
import type { IncomingMessage, ServerResponse } from 'node:http';
import { get } from 'node:https';
import { Latchkey, type LatchkeyOptions } from 'latchkey';

const app = (request: IncomingMessage, response: ServerResponse) => response.end('hello ' + request.url);
const options: LatchkeyOptions = {
  domains: ['app.localhost', 'www.app.localhost'],
  authority: 'local',
  storeDir: 'certificates',
  ports: { http: ${http}, https: ${https} },
};
const latchkey = await Latchkey.open(options);
latchkey.on('certificate:installed', ({ domain, notAfter }) => console.log(domain, notAfter > Date.now()));
const listening = await latchkey.listen(app);
await latchkey.ready();
const to = { host: '127.0.0.1', port: listening.port, servername: 'www.app.localhost', path: '/there' };
get({ ...to, ca: latchkey.localRoot }, async (response) => {
  console.log(Buffer.concat(await response.toArray()).toString());
  await latchkey.close();
});
`;

suite('the package', () => {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-package-'));
  const installed = join(dir, 'node_modules/latchkey');
  after(() => rmSync(dir, { recursive: true, force: true }));

  before(async () => {
    await run('npm', ['pack', '--silent', '--pack-destination', dir], { cwd: root, timeout: 3 * MINUTE });
    mkdirSync(installed, { recursive: true });
    const [packed = ''] = globSync('*.tgz', { cwd: dir });
    await run('tar', ['-xzf', join(dir, packed), '-C', installed, '--strip-components=1']);
    // What npm would install beside it; the registry is no part of this.
    const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types']) {
      const link = join(dir, 'node_modules', name);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), link);
    }
    writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  });

  test('a program that says what to serve compiles against its types, strictly, and is served', async () => {
    const [http = 0, https = 0] = await freePorts(2);
    const options = { cwd: dir, timeout: 3 * MINUTE };
    writeFileSync(join(dir, 'program.ts'), program(http, https));
    const strict = ['--strict', '--noEmit', '--skipLibCheck', 'false', '--types', 'node'];
    const target = ['--module', 'nodenext', '--target', 'es2024'];
    await run(join(root, 'node_modules/.bin/tsc'), [...strict, ...target, 'program.ts'], options);
    const { stdout, stderr } = await run(process.execPath, ['program.ts'], options);
    assert.equal(stdout, 'app.localhost true\nhello /there\n');
    assert.equal(stderr, '');
  });

  test('nothing but its face can be imported', async () => {
    const deep = "import('latchkey/dist/library/core.js').catch(({ code }) => console.log(code))";
    const face = "import('latchkey').then((all) => console.log(Object.keys(all).sort().join()))";
    const { stdout } = await run(process.execPath, ['-e', `${deep}.then(() => ${face})`], { cwd: dir });
    assert.equal(
      stdout,
      'ERR_PACKAGE_PATH_NOT_EXPORTED\nLatchkey,LatchkeyError,MemoryStore,PostponedError,RenewalError,StoreError,StoreKey,groups\n',
    );
  });
});
