/** What a start says, where it works and where it doesn't. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { freePorts, TestServer } from './latchkey.testing.ts';

const notRoot = process.getuid?.() !== 0 && 'only root has rights to drop';

async function prepared(...lines: string[]): Promise<TestServer> {
  const [port = 0] = await freePorts(1);
  const server = new TestServer();
  server.configure([`Listen 127.0.0.1:${port}`, 'Workers 1', ...lines, ''].join('\n'));
  return server;
}

async function refused(server: TestServer): Promise<string> {
  const { code, stdout, stderr } = await server.run('-k', 'start');
  assert.deepEqual([code, stdout], [1, ''], stderr);
  assert.deepEqual(server.processes(), []);
  return stderr;
}

suite('a start', { concurrency: 2 }, () => {
  test('as root warns where no User is configured to drop its rights to', { skip: notRoot }, async () => {
    await using server = await prepared();
    await server.start();
    assert.match(server.log(), /core:warn.*as root.*User www-data/);
    await server.stop();
    await using other = await prepared('User daemon');
    await other.start();
    assert.doesNotMatch(other.log(), /as root/);
  });

  test('that is refused says what else was odd', async () => {
    await using server = await prepared('ServerAdmin ${NOT_THERE}', 'Nonsense');
    const said =
      /^\[core:warn\] Config variable \$\{NOT_THERE\} is not defined \(\S+:3\)\nAH00526: Syntax error on line 4 /;
    assert.match(await refused(server), said);
    assert.match((await server.run('-t')).stderr, said);
  });
});
