import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { suite, test, type TestContext } from 'node:test';
import { loadConfiguration } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { LOG_FD, LogFiles, logFileNames } from './logpipe.ts';

interface Place {
  readonly dir: string;
  /** Settings of a server with these log directives. */
  readonly settings: (...lines: string[]) => Settings;
  readonly read: (name: string) => string;
}

function place(t: TestContext): Place {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-logs-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'logs'));
  const settings = (...lines: string[]) => {
    writeFileSync(join(dir, 'httpd.conf'), `Listen 127.0.0.1:8080\n${lines.join('\n')}\n`);
    return loadConfiguration({ serverRoot: dir, file: 'httpd.conf', defines: [], before: [], after: [] })
      .settings;
  };
  return { dir, settings, read: (name) => readFileSync(join(dir, name), 'utf8') };
}

const HOST = [
  '<VirtualHost *:8080>',
  'ServerName a.example.org',
  'ErrorLog logs/a_error',
  'CustomLog logs/a_access "%r"',
  '</VirtualHost>',
];

suite('log files', () => {
  test('are those that the configuration names', (t) => {
    const { dir, settings } = place(t);
    assert.deepEqual(
      [...logFileNames(settings('CustomLog logs/access "%r"', ...HOST))].sort(),
      ['a_access', 'a_error', 'access', 'error_log'].map((name) => join(dir, 'logs', name)),
    );
  });

  test('get the lines of a child, each whole, however they are cut on the way', async (t) => {
    const { dir, settings, read } = place(t);
    const logs = new LogFiles(settings(...HOST));
    const pipe = new PassThrough();
    logs.collect(pipe);
    const access = join(dir, 'logs/a_access');
    const records = `${access}\tone – „zwei“\n${access}\tdrei\u2028 vier\u0085\n${logs.main}\tan\terror\n`;
    for (const byte of Buffer.from(records)) pipe.write(Buffer.of(byte));
    pipe.end();
    await once(pipe, 'end');
    assert.equal(read('logs/a_access'), 'one – „zwei“\ndrei\u2028 vier\u0085\n');
    assert.equal(read('logs/error_log'), 'an\terror\n');
  });

  test('are no others than those, whatever a child says', async (t) => {
    const { dir, settings, read } = place(t);
    const logs = new LogFiles(settings());
    const pipe = new PassThrough();
    logs.collect(pipe);
    pipe.end(`${join(dir, 'stranger')}\tline\n../../up\tup\n\tnowhere\nno tab\n`);
    await once(pipe, 'end');
    assert.equal(read('logs/error_log'), 'line\nup\n');
    assert.equal(existsSync(join(dir, 'stranger')), false);
  });

  test('get a line without an end in pieces, as nobody may fill the memory of the supervisor', async (t) => {
    const { settings, read } = place(t);
    const logs = new LogFiles(settings());
    const pipe = new PassThrough();
    logs.collect(pipe);
    const chunk = 'x'.repeat(64 * 1024);
    pipe.write(`${logs.main}\t`);
    for (let n = 0; n < 32; n++) pipe.write(chunk);
    await new Promise(setImmediate);
    assert.match(read('logs/error_log'), /^x{1000000,}\n$/);
    pipe.destroy();
  });

  test('are new ones after reopen: those that were moved away are let go', (t) => {
    const { dir, settings, read } = place(t);
    const same = settings();
    const logs = new LogFiles(same);
    logs.append(logs.main, 'before');
    renameSync(join(dir, 'logs/error_log'), join(dir, 'logs/error_log.1'));
    logs.append(logs.main, 'between');
    logs.reopen(same);
    logs.append(logs.main, 'after');
    assert.equal(read('logs/error_log.1'), 'before\nbetween\n');
    assert.equal(read('logs/error_log'), 'after\n');
  });

  test('stay as they are where a new one cannot be opened, and the error names it', (t) => {
    const { settings, read } = place(t);
    const logs = new LogFiles(settings());
    const descriptors = readdirSync('/proc/self/fd').length;
    assert.throws(() => logs.reopen(settings('CustomLog logs/access "%r"', 'ErrorLog missing/log')), {
      message: /^AH00091: could not open log file \S+\/missing\/log: ENOENT/,
    });
    logs.append(logs.main, 'still here');
    assert.equal(read('logs/error_log'), 'still here\n');
    assert.equal(readdirSync('/proc/self/fd').length, descriptors);
  });

  test('on a full disk lose the line and nothing else', (t) => {
    const { settings } = place(t);
    const logs = new LogFiles(settings('ErrorLog /dev/full'));
    logs.append(logs.main, 'lost');
  });

  test('get Node’s last words with the name of who spoke them', async (t) => {
    const { settings, read } = place(t);
    const logs = new LogFiles(settings());
    const stderr = new PassThrough();
    logs.collectStderr(stderr, 'engine 17');
    stderr.end('Error: \u001b[31mboom\n    at nowhere\n');
    await once(stderr, 'end');
    assert.match(read('logs/error_log'), /\[core:error\] \[pid .*\] engine 17: Error: \\x1b\[31mboom\n/);
  });
});

/** Runs `body` in a process that has a LogSender; gives what came through its pipe, and what it said itself. */
async function sending(
  t: TestContext,
  body: string,
  before: (pipe: Readable, said: Readable) => Promise<void> = async () => {},
): Promise<string> {
  const { dir } = place(t);
  const program = join(dir, 'sender.mjs');
  const module = new URL('logpipe.ts', import.meta.url).href;
  writeFileSync(program, `import { LogSender } from '${module}';\nconst sender = new LogSender();\n${body}`);
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
  assert.ok(child.stdout);
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const pipe = child.stdio[LOG_FD] as Readable;
  await before(pipe, child.stdout);
  let text = '';
  pipe.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  pipe.resume();
  await once(pipe, 'close');
  const [code] = await exited;
  assert.equal(code, 0);
  return text;
}

suite('a sender of log lines', () => {
  test('hands over what it was given, and keeps no process alive', async (t) => {
    const text = await sending(t, `sender.write('/a', 'one'); sender.write('/b', 'two');`);
    assert.equal(text, '/a\tone\n/b\ttwo\n');
  });

  test('hands over its last words before an exit', async (t) => {
    const body = `process.on('exit', () => sender.finish()); sender.write('/a', 'last'); process.exit(0);`;
    assert.equal(await sending(t, body), '/a\tlast\n');
  });

  test('drops lines when nobody reads, rather than take all memory', async (t) => {
    const body = `
      const line = 'x'.repeat(1024);
      for (let n = 0; n < 20_000; n++) {
        sender.write('/a', line);
        if (n % 100 === 0) await new Promise(setImmediate);
      }
      console.log('written');`;
    const text = await sending(t, body, async (pipe, said) => {
      pipe.pause();
      await once(said, 'data');
    });
    const lines = text.trimEnd().split('\n');
    assert.ok(lines.length > 1000 && lines.length < 10_000, `${lines.length} lines`);
    assert.ok(lines.every((line) => line.length === 1024 + 3));
  });

  test('does not mind a supervisor that is gone', async (t) => {
    const body = `
      process.stdin.resume();
      for (let n = 0; n < 1000; n++) { sender.write('/a', 'x'.repeat(1000)); await new Promise(setImmediate); }
      process.exit(0);`;
    await sending(t, body, async (pipe) => void pipe.destroy());
  });
});

test('/dev/stderr and /dev/stdout are good for a log where they are sockets, and stay open', (t) => {
  const { dir, settings } = place(t);
  settings('ErrorLog /dev/stderr', 'CustomLog /dev/stdout "%r"');
  const program = `
    import { loadConfiguration } from ${JSON.stringify(new URL('../config/load.ts', import.meta.url).href)};
    import { LogFiles } from ${JSON.stringify(new URL('logpipe.ts', import.meta.url).href)};
    const source = { serverRoot: ${JSON.stringify(dir)}, file: 'httpd.conf', defines: [], before: [], after: [] };
    const { settings } = loadConfiguration(source);
    const logs = new LogFiles(settings);
    logs.reopen(settings);
    logs.reopen(settings);
    logs.append('/dev/stderr', 'an error');
    logs.append('/dev/stdout', 'a request');
    console.log('still open');`;
  // What node:child_process calls a pipe is a socket, as systemd's is.
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.deepEqual([stdout, stderr], ['a request\nstill open\n', 'an error\n']);
});
