/** `latchkey ca`: the root of a server's own CA, for those who have to trust it. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestServer, freePorts } from './latchkey.testing.ts';

test('ca trust finds the root where the configuration keeps it', async () => {
  await using server = new TestServer();
  const [port = 0, ca = 0] = await freePorts(2);
  const text = `Listen 127.0.0.1:${port}\nLocalCADir own-ca\n`;
  server.configure(`${text}LocalCA on 127.0.0.1:${ca}\n`);
  await server.start();
  const where = ['-d', server.dir, '-f', 'httpd.conf'];
  const { stdout } = await server.latchkey('ca', 'trust', ...where);
  assert.equal(stdout, server.read('own-ca/root.pem'));
  const modes = ['', 'root.pem', 'root-key.pem', 'acme'].map((name) => {
    const { mode } = statSync(join(server.dir, 'own-ca', name));
    return (mode & 0o777).toString(8);
  });
  assert.deepEqual(modes, ['755', '644', '600', '700'], 'other users read the root, and nothing else');
  assert.equal((await server.latchkey(...where, 'ca', 'trust')).stdout, stdout);
  assert.equal((await server.latchkey('ca', 'trust', '--dir', `${server.dir}/own-ca`)).stdout, stdout);

  server.configure(text);
  const { code, stderr } = await server.latchkey('ca', 'trust', ...where);
  assert.equal(code, 1);
  assert.match(stderr, /LocalCA is not on in .*httpd\.conf/);
});
