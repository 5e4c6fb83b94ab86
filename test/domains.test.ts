/** Managed domains that are added to a running server. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { shown } from './dynssl.testing.ts';
import { directives, installed, startAuthority, withoutAuthority } from './interop/authority.testing.ts';
import { binary, eventually, freePorts, missing, run, selfSigned, TestServer } from './latchkey.testing.ts';

const lacking = missing('openssl') ?? (withoutAuthority || undefined);

suite('domains added at run time', { skip: lacking }, () => {
  test('are obtained and served without a reload, survive reload, kill and restart, and go when removed', async () => {
    const [http = 0, https = 0, api = 0] = await freePorts(3);
    const ports = { http, https };
    await using server = new TestServer();
    await using authority = await startAuthority({ dir: server.dir, ports });
    const { cert, key } = selfSigned(server.dir, 'fallback.test');
    const configuration = `
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https}
Workers 2
${directives(authority, ports)}
MDCAChallenges http-01
RuntimeAPI 127.0.0.1:${api} mysecrettoken
<VirtualHost *:${https}>
  ServerName _default_
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
</VirtualHost>`;
    server.configure(configuration);
    await server.start();
    const pid = server.pid;
    const domains = (...args: string[]) => server.run('domains', ...args);
    assert.match((await domains('list')).stdout, /there are no managed domains/);

    assert.equal((await domains('add', 'one.test', 'www.one.test')).code, 0);
    await installed(server, 'one.test');
    const { serial } = await eventually('it to be served', async () => {
      const found = await shown(https, 'www.one.test');
      return found.subject !== 'fallback.test' && found;
    });
    assert.equal((await shown(https, 'one.test')).serial, serial);
    assert.equal(authority.orders(), 1);

    const taken = await domains('add', 'two.test', 'www.one.test');
    assert.equal(taken.code, 1);
    assert.match(taken.stderr, /www\.one\.test is a name of the managed domain one\.test/);

    const list = server.write(
      'customers.txt',
      '# ours\n\ntwo.test  www.one.test\nthree.test\r\none.test www.one.test # again\n',
    );
    const many = await domains('add', '--from', list);
    assert.equal(many.code, 1);
    assert.match(
      many.stderr,
      /customers\.txt:3: www\.one\.test is a name of .*\n.*1 of 3 domains were not added/,
    );
    assert.match(many.stdout, /^2 managed domains; /);
    const piped = await run(binary, ['-d', server.dir, '-f', 'httpd.conf', 'domains', 'add', '--from', '-'], {
      input: 'four.test\n',
    });
    assert.equal(piped.code, 0, piped.stderr);
    for (const wrong of [['add'], ['add', 'five.test', '--from', list]]) {
      assert.match((await domains(...wrong)).stderr, /names of one domain, or --from a file/);
    }
    await installed(server, 'three.test', 'four.test');
    for (const name of ['three.test', 'four.test']) assert.equal((await domains('remove', name)).code, 0);

    const headers = { authorization: 'Bearer mysecrettoken' };
    const url = `http://127.0.0.1:${api}/domains`;
    assert.equal((await fetch(`${url}/two.test`, { method: 'PUT', headers })).status, 200);
    assert.equal((await fetch(url)).status, 401);
    await installed(server, 'two.test');
    const listed = (await (await fetch(url, { headers })).json()) as Record<string, unknown>[];
    assert.deepEqual(
      listed.map(({ name, added, state }) => [name, added, state]),
      [
        ['one.test', true, 'complete'],
        ['two.test', true, 'complete'],
      ],
    );

    const renewal = await domains('renew', 'two.test');
    assert.equal(renewal.code, 0, renewal.stderr);
    const second = (await shown(https, 'two.test')).serial;
    assert.ok(renewal.stdout.includes(second), renewal.stdout);
    assert.equal((await domains('flush', 'two.test')).code, 0);
    assert.equal(server.pid, pid, 'nothing was restarted');

    const asBefore = async (when: string) => {
      await eventually(`one.test ${when}`, async () => (await shown(https, 'one.test')).serial === serial);
      await eventually(`two.test ${when}`, async () => (await shown(https, 'two.test')).serial === second);
    };
    assert.equal((await server.run('-k', 'graceful')).code, 0);
    await asBefore('after a reload');
    for (const engine of server.children().engine) process.kill(engine, 'SIGKILL');
    await asBefore('after the engine was killed');
    await eventually('the engine', async () => (await domains('list')).code === 0);
    await server.stop();
    await server.start();
    await asBefore('after a restart');
    const orders = authority.orders();

    assert.equal((await domains('remove', 'two.test')).code, 0);
    assert.equal((await shown(https, 'two.test')).subject, 'fallback.test');
    assert.match((await domains('list')).stdout, /^one\.test +added +complete[^\n]*\n$/);
    assert.equal((await domains('remove', 'two.test')).code, 1);
    assert.equal((await domains('add', 'two.test')).code, 0);
    assert.equal((await shown(https, 'two.test')).serial, second, 'the store had kept it');

    server.configure(
      `${configuration}\nMDomain one.test www.one.test\n<VirtualHost *:${https}>\nServerName one.test\nSSLEngine on\n</VirtualHost>`,
    );
    const configured = await server.run('-k', 'graceful');
    assert.equal(configured.code, 0, configured.stderr);
    await asBefore('once it is configured');
    assert.match((await domains('list')).stdout, /^one\.test +configured/);
    server.configure(configuration);
    assert.equal((await server.run('-k', 'graceful')).code, 0);
    await asBefore('once it is configured no more');
    assert.match((await domains('list')).stdout, /^one\.test +added +complete/);
    assert.equal(authority.orders(), orders, 'nothing was ordered again');
  });
});
