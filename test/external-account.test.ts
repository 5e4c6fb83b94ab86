/** A CA that registers accounts only for its own customers, met as an administrator meets it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { getSecure, localAuthority, server as base } from './faults/faults.testing.ts';
import { eventually, freePorts, TestServer } from './latchkey.testing.ts';

const NAME = 'bound.localhost';

test('a domain without an external account is told so; with one it gets its certificate', async () => {
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  const ports = { http, https };
  await using server = new TestServer();
  const text = base(ports, localAuthority(ports, ca, NAME), 'LocalCAExternalAccountRequired on');
  server.write('htdocs/index.html', 'bound\n');
  server.configure(text);
  await server.start();
  const problem = await eventually('the problem', async () => (await server.status()).domains[0]?.problem);
  assert.equal(problem.type, 'urn:ietf:params:acme:error:externalAccountRequired');
  assert.match(problem.detail, /configure them by "MDExternalAccountBinding KEY-ID HMAC"/);

  // The embedded CA keeps its credential in the form that the directive reads.
  server.configure(`${text}\nMDExternalAccountBinding ca/external-account.json\n`);
  const reload = await server.run('-k', 'graceful');
  assert.equal(reload.code, 0, reload.stderr);
  await eventually('the certificate', async () => (await server.status()).domains[0]?.state === 'complete');
  const served = await eventually('it to be served', async () => {
    const { names } = await getSecure(https, NAME);
    return names === `DNS:${NAME}`;
  });
  assert.ok(served);

  const eab = JSON.parse(server.read('ca/external-account.json')) as { kid: string; hmac: string };
  const { ca: authority, eab: written } = JSON.parse(server.read(`md/domains/${NAME}/md.json`)) as {
    ca: { account: string };
    eab: unknown;
  };
  assert.deepEqual(written, eab);
  const account = JSON.parse(server.read(`md/accounts/${authority.account}/account.json`)) as {
    eab: unknown;
  };
  assert.deepEqual(account.eab, eab);
  const [told, json] = [await server.run('status'), await server.run('status', '--json')];
  const log = readFileSync(join(server.dir, 'logs/error_log'), 'utf8');
  const job = server.read(`md/domains/${NAME}/job.json`);
  for (const shown of [told.stdout, json.stdout, log, job]) assert.ok(!shown.includes(eab.hmac));
});
