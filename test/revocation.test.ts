/** A certificate that its CA's list of revoked certificates has, where nothing else tells of it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { localAuthority, server as base } from './faults/faults.testing.ts';
import { eventually, freePorts, TestServer } from './latchkey.testing.ts';

test('a certificate on the list that it names is replaced with a new key', async () => {
  await using server = new TestServer();
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  const ports = { http, https };
  server.write('htdocs/index.html', 'a\n');
  const authority = localAuthority(ports, ca, 'a.localhost');
  server.configure(base(ports, authority, 'MDRenewViaARI off', 'MDStapling off'));
  await server.start();
  const certificate = async () => (await server.status()).domains[0]?.certificates[0]?.serial;
  const serial = await eventually('a certificate', certificate);
  const list = join(server.dir, 'md/crl');
  await eventually('its list', () => readdirSync(list).length === 1);
  const key = () => {
    const folder = join(server.dir, 'md/domains/a.localhost');
    const file = readdirSync(folder).find((name) => name.startsWith('privkey')) ?? '';
    return readFileSync(join(folder, file), 'utf8');
  };
  const before = key();

  assert.equal((await server.run('ca', 'revoke', serial, '--reason', 'keycompromise')).code, 0);
  await server.stop();
  // Else it would be asked for again no sooner than in hours.
  for (const name of readdirSync(list)) rmSync(join(list, name), { recursive: true });
  await server.start();

  await eventually('another certificate', async () => {
    const now = await certificate();
    return now !== undefined && now !== serial;
  });
  assert.notEqual(key(), before);
  const said = `as the list http://127.0.0.1:${ca}/crl says`;
  await eventually('the reason', () => server.log().includes(said));
});
