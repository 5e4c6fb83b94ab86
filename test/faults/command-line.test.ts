/** The command line as scripts know it from httpd: what it says, what it returns, what it leaves running. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { createFallbackCertificate } from '../../src/pki/selfsigned.ts';
import { TestServer, binary, eventually, freePorts, run, type Outcome } from '../latchkey.testing.ts';
import { getPlain, isClosed, plain } from './faults.testing.ts';

/** A server that isn't started, of one worker and one page. */
async function prepared(): Promise<TestServer & { readonly port: number }> {
  const [port = 0] = await freePorts(1);
  const one = Object.assign(new TestServer(), { port });
  one.write('htdocs/index.html', 'hello');
  one.configure(plain(port));
  return one;
}

const page = async ({ port }: { port: number }) => (await getPlain(port, 'localhost')).body;

function assertSuccess({ code, stdout, stderr }: Outcome, said: RegExp = /^$/): void {
  assert.equal(code, 0, stderr);
  assert.match(stdout, said);
}

suite('the command line', { concurrency: 2 }, () => {
  test('starts a server once, and stops it, and what isn’t there', async () => {
    await using one = await prepared();
    assertSuccess(await one.run('-k', 'stop'), /^httpd \(no pid file\) not running\n$/);
    assertSuccess(await one.run('-k', 'graceful-stop'), /not running\n$/);
    assertSuccess(await one.run('-k', 'start'));
    assert.equal(await page(one), 'hello');
    const { pid } = one;
    assertSuccess(await one.run('-k', 'start'), new RegExp(`^httpd \\(pid ${pid}\\) already running\n$`));
    assertSuccess(await one.run(), /already running/);
    assert.equal(one.pid, pid);

    assertSuccess(await one.run('-k', 'stop'));
    assert.ok(await isClosed(one.port));
    assert.deepEqual(one.processes(), []);
    assert.equal(existsSync(join(one.dir, 'logs/httpd.pid')), false);
    assertSuccess(await one.run('-k', 'stop'), /not running/);
  });

  test('leaves a server that holds nothing of its caller’s', async () => {
    await using one = await prepared();
    const caller = spawn(binary, ['-d', one.dir, '-f', 'httpd.conf', '-k', 'start'], {
      env: one.env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // Who reads the pipes sees their end, though the server goes on.
    assert.deepEqual(await Promise.all([text(caller.stdout), text(caller.stderr)]), ['', '']);
    assert.equal(await page(one), 'hello');
  });

  test('stops and checks by what is configured, also while an included file is broken', async () => {
    await using one = await prepared();
    one.write('site.conf', 'ServerName a.latchkey.test\n');
    one.configure(plain(one.port, 'PidFile logs/other.pid', 'Include site.conf'));
    await one.start();
    const pid = Number(one.read('logs/other.pid'));
    one.write('site.conf', 'ServerNam a.latchkey.test\n');

    for (const args of [['-t'], ['-k', 'start'], ['-k', 'graceful'], ['-k', 'restart']]) {
      const { code, stderr } = await one.run(...args);
      assert.equal(code, 1, args.join(' '));
      assert.match(stderr, /^AH00526: Syntax error on line 1 of \S+\/site\.conf:\n.*ServerNam.*ServerName/s);
    }
    process.kill(pid, 'SIGUSR1');
    await eventually('the log to say why', () =>
      /\[core:error\].*reload failed, the running configuration stays:.*line 1 of \S+site\.conf/.test(
        one.log(),
      ),
    );
    assert.equal(await page(one), 'hello');
    assertSuccess(await one.run('-k', 'stop'));
    assert.deepEqual(one.processes(), []);
  });

  test('starts again right after a stop, and waits for one that ends gracefully', async () => {
    await using one = await prepared();
    await one.start();
    const { pid } = one;
    process.kill(pid, 'SIGTERM');
    const file = join(one.dir, 'logs/httpd.pid');
    await eventually(
      'it to stop',
      () => !existsSync(file) || one.read('logs/httpd.pid').includes('stopping'),
    );
    assertSuccess(await one.run('-k', 'start'));
    assert.notEqual(one.pid, pid);
    const second = one.pid;
    assertSuccess(await one.run('-k', 'graceful-stop'));
    assertSuccess(await one.run('-k', 'start'));
    assert.notEqual(one.pid, second);
    assert.equal(await page(one), 'hello');
  });

  test('starts what does not run when told to restart it', async () => {
    await using one = await prepared();
    assertSuccess(await one.run('-k', 'graceful'), /^httpd not running, trying to start\n$/);
    const { pid } = one;
    assertSuccess(await one.run('-k', 'restart'));
    assertSuccess(await one.run('-k', 'graceful'));
    await eventually('two reloads', () => one.log().match(/AH00493/g)?.length === 2);
    assert.equal(one.pid, pid);
  });

  test('lets one of several starts at once win, and the others say so', async () => {
    await using one = await prepared();
    const outcomes = await Promise.all([1, 2, 3].map(() => one.run('-k', 'start')));
    for (const { code, stdout, stderr } of outcomes) {
      assert.equal(code, 0, stderr);
      assert.match(stdout, new RegExp(`^(httpd \\(pid ${one.pid}\\) already running\n)?$`));
    }
    assert.equal(outcomes.filter(({ stdout }) => stdout === '').length, 1);
    const { engine, workers } = one.children();
    assert.deepEqual([engine.length, workers.length], [1, 1]);
    assert.equal(one.processes().length, 3);
    assert.equal((await one.status()).domains.length, 0);
  });

  test('runs in the foreground with -X and -DFOREGROUND, until a signal', async () => {
    await using one = await prepared();
    for (const [flag, signal] of [
      ['-X', 'SIGINT'],
      ['-DFOREGROUND', 'SIGTERM'],
    ] as const) {
      const running = spawn(binary, ['-d', one.dir, '-f', 'httpd.conf', flag], {
        env: one.env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const said = Promise.all([text(running.stdout), text(running.stderr)]);
      const exited = once(running, 'exit');
      await eventually('the server', () => one.read('logs/httpd.pid') === `${running.pid}\n`);
      process.kill(one.pid, 'SIGUSR1');
      await eventually('a reload', () => one.log().includes('AH00493'));
      running.kill(signal);
      // As a terminal's ^C comes to a whole group, of which one may pass it on.
      running.kill('SIGTERM');
      assert.deepEqual(await said, ['', '']);
      assert.deepEqual(await exited, [0, null]);
      assert.equal(one.log().split('AH00491').length, 2, 'it ends once');
      rmSync(join(one.dir, 'logs/error_log'));
      assert.deepEqual(one.processes(), []);
    }
  });

  test('checks and shows without starting anything', async () => {
    await using one = await prepared();
    const version = await one.run('-v');
    assertSuccess(version, /^Server version: Latchkey\/\d+\.\d+\.\d+/);
    assert.equal((await one.latchkey('--version')).stdout, version.stdout);
    assertSuccess(await one.latchkey('help', 'status'), /^Usage: latchkey status/);
    const check = await one.run('-t');
    assertSuccess(check);
    assert.equal(check.stderr, 'Syntax OK\n');
    const host = `<VirtualHost *:${one.port}>\nServerName a.latchkey.test\n</VirtualHost>`;
    one.configure(plain(one.port, host));
    const shown = await one.run('-S');
    assertSuccess(shown, new RegExp(`\\*:${one.port}\\b.*a\\.latchkey\\.test .*httpd\\.conf:\\d+`, 's'));
    assert.deepEqual(one.processes(), []);
    assert.equal(existsSync(join(one.dir, 'md')), false);
    assert.equal(existsSync(join(one.dir, 'logs')), false);
  });

  test('says that a key file is missing', async () => {
    await using one = await prepared();
    const { certPem } = await createFallbackCertificate({ names: ['a.test'], now: Date.now() });
    one.write('a.crt', certPem);
    one.configure(plain(one.port, 'SSLEngine on', 'SSLCertificateFile a.crt'));
    const { code, stderr } = await one.run('-t');
    assert.equal(code, 1);
    assert.match(stderr, /line \d+ of .*a\.crt: This is not a private key.*SSLCertificateKeyFile/s);
  });

  const notRoot = process.getuid?.() !== 0 && 'only root can serve as another user';
  test('checks that there is such a User and Group', { skip: notRoot }, async () => {
    await using one = await prepared();
    const user = await one.run('-t', '-C', 'User no-such-user');
    assert.equal(user.code, 1);
    assert.match(user.stderr, /AH00543: bad user name no-such-user/);
    const group = await one.run('-t', '-C', 'User daemon', '-C', 'Group no-such-group');
    assert.equal(group.code, 1);
    assert.match(group.stderr, /AH00544: bad group name no-such-group/);
  });

  test('hands -D, -C and -c to the configuration', async () => {
    await using one = await prepared();
    one.configure(plain(one.port, '<IfDefine MORE>', 'Nonsense', '</IfDefine>', 'Include ${FROM_C}'));
    one.write('included.conf', '');
    assert.equal((await one.run('-t')).code, 1);
    const before = ['-C', 'Define FROM_C included.conf'];
    assert.equal((await one.run('-t', ...before)).stderr, 'Syntax OK\n');
    const defined = await one.run('-t', '-D', 'MORE', ...before);
    assert.match(defined.stderr, /Nonsense/);
    const after = await one.run('-t', ...before, '-c', 'ServerName a b');
    assert.equal(after.code, 1);
    assert.match(after.stderr, /^AH00526: Syntax error .*Command line: -c:?\n.*ServerName/s);
  });

  test('refuses what it does not know, with the nearest there is', async () => {
    await using one = await prepared();
    for (const args of [['-k', 'halt'], ['-k'], ['--nonsense'], ['statsu'], ['-d']]) {
      const { code, stdout, stderr } = await one.run(...args);
      assert.equal(code, 1, args.join(' '));
      assert.equal(stdout, '');
      assert.notEqual(stderr, '');
    }
    assert.match((await one.run('statsu')).stderr, /status/);
    assert.match(
      (await one.latchkey('store', '--dir', 'nowhere')).stderr,
      /nowhere is not a folder: make it/,
    );
    assert.deepEqual(one.processes(), []);
  });

  test('finds its server by -d and -f before and after a command and its name', async () => {
    await using one = await prepared();
    one.configure(plain(one.port, 'MDomain a.latchkey.test b.latchkey.test', 'MDRenewMode manual'));
    const where = ['-d', one.dir, '-f', 'httpd.conf'];
    const none = await one.latchkey('status', ...where);
    assert.equal(none.code, 1);
    assert.match(
      none.stderr,
      /^latchkey: no server is running \(\S+\/logs\/httpd\.pid\): start it \(-k start\), or say by -d and -f which one\n$/,
    );
    const renewal = await one.latchkey('renew', 'a.latchkey.test', ...where);
    assert.equal(renewal.code, 1);
    assert.match(renewal.stderr, /no server is running/);

    await one.start();
    const lines = [
      [...where, 'status', 'b.latchkey.test'],
      ['status', ...where, 'b.latchkey.test'],
      ['status', 'b.latchkey.test', ...where],
      ['-d', '/nowhere', 'status', 'b.latchkey.test', ...where],
      [`-d${one.dir}`, 'status', 'b.latchkey.test', `-fhttpd.conf`],
    ];
    for (const line of lines) {
      const { code, stdout, stderr } = await one.latchkey(...line);
      assert.equal(code, 0, `${line.join(' ')}: ${stderr}`);
      assert.match(stdout, /^a\.latchkey\.test: incomplete/);
    }
    const table = await one.run('status');
    assertSuccess(table, /DOMAIN +STATE.*\na\.latchkey\.test +incomplete .*manual.* b\.latchkey\.test/);
    const unknown = await one.run('status', 'c.latchkey.test');
    assert.equal(unknown.code, 1);
    assert.match(
      unknown.stderr,
      /c\.latchkey\.test is not a name of a managed domain; did you mean 'a\.latchkey\.test'/,
    );
    const renew = await one.run('renew', 'c.latchkey.test');
    assert.equal(renew.code, 1);
    assert.match(renew.stderr, /c\.latchkey\.test is not a name of a managed domain/);
    assert.equal((await one.run('renew')).code, 1);
  });

  test('takes a relative folder, with .. in it, from where it is called', async () => {
    await using one = await prepared();
    const elsewhere = join(one.dir, 'some/where');
    mkdirSync(elsewhere, { recursive: true });
    const started = await shell(
      `cd ${elsewhere} && ${binary} -d ../../../${one.dir.split('/').pop()} -f httpd.conf`,
      {
        env: one.env,
      },
    );
    assert.equal(started.code, 0, started.stderr);
    assert.equal(await page(one), 'hello');
    const root = relative(elsewhere, one.dir);
    const stopped = await shell(`cd ${elsewhere} && ${binary} -d ${root} -f httpd.conf -k stop`);
    assert.equal(stopped.code, 0, stopped.stderr);
    assert.deepEqual(one.processes(), []);
  });
});

suite('bin/latchkey', { concurrency: 2 }, () => {
  test('is found through links, from any folder', async () => {
    await using one = await prepared();
    mkdirSync(join(one.dir, 'bin'));
    symlinkSync(binary, join(one.dir, 'bin/first'));
    symlinkSync('bin/first', join(one.dir, 'second'));
    const path = `${one.dir}/bin:${process.env['PATH']}`;
    for (const command of [
      `${one.dir}/second`,
      'cd /; first',
      `cd ${one.dir}; ./second`,
      'cd bin; ./first',
    ]) {
      const { stdout, stderr } = await shell(`cd ${one.dir}; ${command} -v`, {
        env: { ...process.env, PATH: path },
      });
      assert.match(stdout, /^Server version: Latchkey/, `${command}: ${stderr}`);
    }
  });

  for (const [what, script] of [
    ['an old node', '#!/bin/sh\ncase $* in *process.versions*) echo 20;; *) exit 99;; esac\n'],
    ['a broken node', '#!/bin/sh\nexit 99\n'],
    ['no node', undefined],
  ] as const) {
    test(`starts and stops with ${what} first on PATH`, async () => {
      await using one = await prepared();
      const dir = join(one.dir, 'tools');
      mkdirSync(dir);
      for (const tool of ['dirname', 'readlink', 'sh']) symlinkSync(await which(tool), join(dir, tool));
      if (script !== undefined) writeFileSync(join(dir, 'node'), script, { mode: 0o755 });
      const env = { ...one.env, PATH: dir };
      const started = await run(binary, ['-d', one.dir, '-f', 'httpd.conf'], { env });
      assert.equal(started.code, 0, started.stderr);
      assert.equal(await page(one), 'hello');
      assert.equal((await run(binary, ['-d', one.dir, '-f', 'httpd.conf', '-k', 'stop'], { env })).code, 0);
    });
  }

  test('says what it needs where there is no Node.js at all', async () => {
    await using one = await prepared();
    const bin = join(one.dir, 'copy/bin');
    mkdirSync(bin, { recursive: true });
    const copied = await shell(
      `cp ${binary} ${bin}/latchkey && PATH=${dirname(await which('dirname'))}-nothing ${bin}/latchkey -v`,
    );
    assert.equal(copied.code, 1);
    assert.match(copied.stderr, /needs Node\.js 24 or newer, and found none.*npm ci/s);
  });
});

function shell(script: string, options: { env?: NodeJS.ProcessEnv } = {}): Promise<Outcome> {
  return run('/bin/sh', ['-c', script], options);
}

async function which(tool: string): Promise<string> {
  return (await shell(`command -v ${tool}`)).stdout.trim();
}
