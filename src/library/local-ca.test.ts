/** With the CA that is built in, whose certificates have an OCSP responder. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { systemClock } from '../base/clock.ts';
import { eventually } from '../domains/domains.testing.ts';
import { Latchkey } from './latchkey.ts';

test('the built-in CA gives certificates that its root vouches for, and they are stapled', async (t) => {
  const storeDir = await mkdtemp(join(tmpdir(), 'latchkey-local-ca-'));
  t.after(() => rm(storeDir, { recursive: true, force: true }));
  const server = createServer((_request, response) => response.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  await using latchkey = await Latchkey.open({
    domains: ['app.localhost'],
    authority: 'local',
    storeDir,
    ports: { http: false, https: port },
  });
  const stapled = once(latchkey, 'ocsp:renewed');
  latchkey.secure(server);
  await latchkey.ready();
  await stapled;
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: 'app.localhost',
    ca: latchkey.localRoot,
    requestOCSP: true,
  });
  const [response] = (await once(socket, 'OCSPResponse')) as [Buffer | null];
  assert.ok((response?.length ?? 0) > 0);
  await once(socket, 'secureConnect');
  assert.equal(socket.authorized, true);
  socket.destroy();
});

test('the built-in CA has to know the port where it looks', async () => {
  const opening = Latchkey.open({ authority: 'local', storeDir: '/nowhere', ports: { https: 0 } });
  await assert.rejects(opening, { code: 'bad-option', message: /ports/ });
});

test('all is closed also where a fault has ended renewing, and told of once more', async (t) => {
  const storeDir = await mkdtemp(join(tmpdir(), 'latchkey-local-ca-'));
  t.after(() => rm(storeDir, { recursive: true, force: true }));
  let broken = false;
  const now = () => {
    if (broken) throw new Error('the clock is broken');
    return Date.now();
  };
  const latchkey = await Latchkey.open({
    domains: ['app.localhost'],
    authority: 'local',
    storeDir,
    ports: { http: false, https: 8443 },
    clock: { ...systemClock, now },
  });
  const fault = once(latchkey, 'error');
  latchkey.start();
  broken = true;
  const renewal = latchkey.renew('app.localhost').catch(() => {});
  const [error] = (await fault) as [Error];
  assert.match(error.message, /the clock is broken/);
  await assert.rejects(latchkey.close(), /the clock is broken/);
  await renewal;
  await eventually(() => !process.getActiveResourcesInfo().includes('TCPServerWrap'));
});
