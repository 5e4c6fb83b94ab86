/** Apache itself, where it is installed, as the measure of our reading. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { folder, load } from './config.testing.ts';
import { describeHosts } from './describe.ts';
import { cases } from './grammar.testing.ts';
import { loadConfiguration } from './load.ts';

const program = ['/usr/sbin/apache2', '/usr/sbin/httpd'].find((path) => existsSync(path));
const modules = ['/usr/lib/apache2/modules', '/usr/lib64/httpd/modules'].find((path) => existsSync(path));

const wanted = (
  'mpm_event authz_core authz_host authz_user alias dir mime headers proxy proxy_http log_config reqtimeout ' +
  'ssl socache_shmcb unixd version watchdog md'
).split(' ');

interface Apache {
  readonly program: string;
  readonly preamble: string;
}

function apache(t: TestContext): Apache | undefined {
  if (!program || !modules) {
    t.skip('Apache httpd is not installed');
    return undefined;
  }
  const missing = ['ssl', 'md'].find((name) => !existsSync(join(modules, `mod_${name}.so`)));
  if (missing) {
    t.skip(`Apache's mod_${missing} is not installed`);
    return undefined;
  }
  const lines = wanted
    .map((name) => [name, join(modules, `mod_${name}.so`)])
    .filter(([, file = '']) => existsSync(file))
    .map(([name, file]) => `LoadModule ${name}_module ${file}`);
  return { program, preamble: `${lines.join('\n')}\nServerName main.example\nPidFile httpd.pid\n` };
}

function run({ program }: Apache, root: string, file: string, flag: '-t' | '-S'): Promise<string> {
  return new Promise((done) => {
    execFile(program, ['-d', root, '-f', file, flag], { timeout: 20_000 }, (_error, stdout, stderr) =>
      done(stdout + stderr),
    );
  });
}

test('Apache agrees about every configuration of the table', async (t) => {
  const server = apache(t);
  if (!server) return;
  const root = folder(t, { 'logs/error_log': '' });
  const queue = [...cases.entries()];
  const disagreements: string[] = [];
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [index, [text, expected]] = next;
      const file = join(root, `${index}.conf`);
      writeFileSync(file, text);
      writeFileSync(`${file}.main`, `${server.preamble}Include ${file}\n`);
      const said = await run(server, root, `${file}.main`, '-t');
      const at = [...said.matchAll(/Syntax error on line (\d+) of ([^:\n]+):/g)].at(-1);
      const found = said.includes('Syntax OK') ? 'ok' : at?.[2] === file ? Number(at[1]) : said;
      if (found !== expected) disagreements.push(`${text}\nexpected ${expected}, Apache: ${found}`);
    }
  };
  await Promise.all([work(), work()]);
  assert.deepEqual(disagreements, []);
});

test('hosts are described as Apache does', async (t) => {
  const server = apache(t);
  if (!server) return;
  const text = `
<VirtualHost *:8001>
  ServerName a.example
  ServerAlias www.a.example *.a.example
  ServerAlias more.a.example
</VirtualHost>
<VirtualHost *:8001 127.0.0.1:8002>
  ServerName b.example
</VirtualHost>
<VirtualHost 127.0.0.1:8003>
  ServerName c.example
  ServerAlias www.c.example
</VirtualHost>
<VirtualHost *>
  ServerName d.example
</VirtualHost>
`;
  const root = folder(t, { 'logs/error_log': '' });
  mkdirSync(join(root, 'htdocs'));
  const file = join(root, 'main.conf');
  // The same number of lines before the hosts, so that positions agree.
  const lines = server.preamble.split('\n').length - 1;
  writeFileSync(file, server.preamble + text);
  const said = await run(server, root, file, '-S');
  const ours = describeHosts(load(t, `ServerName main.example${'\n'.repeat(lines)}${text}`));
  assert.equal(hostLines(ours), hostLines(said));
});

/** The hosts' part, without the names of files. */
function hostLines(text: string): string {
  const lines = text.split('\n');
  const first = lines.indexOf('VirtualHost configuration:');
  const last = lines.findIndex((line) => line.startsWith('ServerRoot:'));
  return lines
    .slice(first, last)
    .join('\n')
    .replaceAll(/\([^():]*:(\d+)\)/g, '(:$1)');
}

test("Debian's own configuration of Apache is accepted", (t) => {
  if (!existsSync('/etc/apache2/apache2.conf') || !existsSync('/etc/apache2/envvars')) {
    t.skip("Debian's apache2 is not installed");
    return;
  }
  const environment = {
    APACHE_RUN_USER: 'www-data',
    APACHE_RUN_GROUP: 'www-data',
    APACHE_PID_FILE: '/run/apache2/apache2.pid',
    APACHE_RUN_DIR: '/run/apache2',
    APACHE_LOCK_DIR: '/var/lock/apache2',
    APACHE_LOG_DIR: '/var/log/apache2',
  };
  const source = { file: 'apache2.conf', serverRoot: '/etc/apache2', defines: [], before: [], after: [] };
  const { settings } = loadConfiguration({ ...source, environment });
  assert.equal(settings.user, 'www-data');
  assert.equal(settings.pidFile, '/run/apache2/apache2.pid');
});
