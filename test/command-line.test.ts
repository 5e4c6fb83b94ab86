/** What scripts that were written for httpd's command line rely on, and shells. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { binary, run, TestServer } from './latchkey.testing.ts';

suite('the command line', { concurrency: 2 }, () => {
  test("shows hosts, modules and version by httpd's options, whether letters or names", async () => {
    await using server = new TestServer();
    server.configure('Listen 127.0.0.1:1\n<VirtualHost *:1>\nServerName a.test\n</VirtualHost>\n');
    const [short, long] = [await server.run('-S'), await server.run('-t', '-D', 'DUMP_VHOSTS')];
    assert.match(short.stdout, /^\*:1 +a\.test /m);
    assert.equal(long.stdout, short.stdout);
    const [letter, name] = [await server.run('-M'), await server.run('-t', '-D', 'DUMP_MODULES')];
    assert.match(letter.stdout, /^Loaded Modules:\n core_module \(static\)\n[^]* md_module \(static\)\n/);
    assert.equal(name.stdout, letter.stdout);
    assert.match((await server.run('-V')).stdout, /^Server version: Latchkey\//);
  });

  test('ends without a word when who reads has seen enough', async () => {
    await using server = new TestServer();
    // More than a pipe holds.
    const hosts = Array.from(
      { length: 2000 },
      (_, index) => `<VirtualHost *:1>\nServerName a${index}.test\n</VirtualHost>`,
    );
    server.configure(`Listen 127.0.0.1:1\n${hosts.join('\n')}\n`);
    const piped = `"$0" -d "$1" -f httpd.conf -S | head -n 1`;
    assert.deepEqual(await run('sh', ['-c', piped, binary, server.dir]), {
      code: 0,
      stdout: 'VirtualHost configuration:\n',
      stderr: 'Syntax OK\n',
    });
  });
});
