/** Names that nobody configured, ordered when a client calls for them: a whole server, Pebble and a service that permits. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { connect } from 'node:tls';
import { AskService } from '../src/domains/on-demand/ask-service.testing.ts';
import { eventually, freePorts, signal, TestServer } from './latchkey.testing.ts';
import { onDemandServer, withoutPeers } from './on-demand.testing.ts';

const skip = withoutPeers;

suite('a name on demand', { skip }, () => {
  test('is served on the first connection, and after a restart and a kill without asking anybody again', async () => {
    await using at = await onDemandServer({ challenge: 'tls-alpn-01' });
    const name = 'shop.customer.test';
    at.ask.permit(name);
    await at.server.start();
    const first = await at.shown(name);
    assert.equal(first.names, name, at.server.log());
    // In both workers.
    for (let n = 0; n < 8; n++) assert.deepEqual(await at.shown(name), first);

    at.ask.behaviour = 'silent';
    await at.server.stop();
    await at.server.start();
    assert.deepEqual(await at.shown(name), first);
    const [engine = 0] = at.server.children().engine;
    signal(engine, 'SIGKILL');
    await eventually('another engine', () => at.server.children().engine.some((pid) => pid !== engine));
    assert.deepEqual(await at.shown(name), first);
    assert.equal(at.ask.count(name), 1);
    assert.equal(at.orders(), 1);

    const domain = await eventually('the status', async () => {
      const { domains } = await at.server.status();
      return domains.find((one) => one.name === name && one.state === 'complete');
    });
    assert.equal(domain.certificates[0]?.serial, first.serial);
    const { stdout } = await at.server.run('status', name);
    assert.match(stdout, /on demand +last called for .*, dropped on .* if nobody calls/);
  });

  test('that must not have a certificate gets the fallback, and no CA hears of it', async () => {
    await using at = await onDemandServer({
      hosts: (https) => `MDomain known.test
<VirtualHost *:${https}>
  ServerName known.test
  SSLEngine on
</VirtualHost>`,
    });
    at.ask.permit('a.a.a.example.org', 'co.uk', '4.d.c.b.a.example.org', 'localhost');
    await at.server.start();
    const known = await eventually('the known name', async () => {
      const [domain] = (await at.server.status()).domains;
      const shown = await at.shown('known.test');
      return shown.serial === domain?.certificates[0]?.serial && shown;
    });
    const orders = at.orders();
    const [engine = 0] = at.server.children().engine;

    for (const name of ['refused.test', 'a.a.a.example.org', 'co.uk', '4.d.c.b.a.example.org', 'localhost']) {
      assert.equal((await at.shown(name)).names, 'fallback.test', name);
    }
    assert.deepEqual(at.ask.asked.length, at.ask.count('refused.test'));

    const before = memory(engine);
    const scanners = Array.from({ length: 50 }, async (_, scanner) => {
      for (let n = 0; n < 200; n++) {
        await at.knock(`${scanner}-${n}.invented${n % 7}.test`, `127.0.${scanner}.${n + 1}`);
      }
    });
    await Promise.all(scanners);
    assert.equal(at.orders(), orders);
    assert.doesNotMatch(at.pebble.log(), /invented|refused/);
    assert.ok(memory(engine) - before < 100 * 2 ** 20, `${before} bytes became ${memory(engine)}`);
    assert.deepEqual(await at.shown('known.test'), known);
    assert.equal((await at.server.status()).domains.length, 1);
  });

  test('goes on when the engine is killed in the middle of its order', async () => {
    await using at = await onDemandServer();
    const name = 'slow.customer.test';
    at.ask.permit(name);
    await at.server.start();
    const [engine = 0] = at.server.children().engine;
    const open = at.gate.hold();
    const first = at.shown(name).catch(() => undefined);
    await eventually('the CA to look for the challenge', () => at.gate.looks > 0);
    assert.ok(existsSync(join(at.server.dir, 'md/staging', name, 'order.json')));
    at.ask.behaviour = { status: 500 };
    signal(engine, 'SIGKILL');
    assert.notEqual((await first)?.names, name);
    open();
    await eventually('the certificate', async () => (await at.shown(name)).names === name);
    assert.equal(at.orders(), 1, at.server.log());
  });

  test('that can’t be had within the wait is served when it is there; a service out of order permits nothing', async () => {
    await using at = await onDemandServer({ directives: 'MDOnDemandWait 1s' });
    at.ask.permit('late.customer.test');
    await at.server.start();
    const open = at.gate.hold();
    assert.equal((await at.shown('late.customer.test')).names, 'fallback.test');
    open();
    await eventually('the certificate', async () => {
      return (await at.shown('late.customer.test')).names === 'late.customer.test';
    });
    for (const behaviour of ['garbage', 'cut', { status: 503 }] as const) {
      at.ask.behaviour = behaviour;
      const name = `${typeof behaviour === 'string' ? behaviour : 'down'}.customer.test`;
      assert.equal((await at.shown(name)).names, 'fallback.test');
    }
    await eventually('a line about it', () =>
      at.server.log().includes('MDOnDemandAsk: nobody says which names may have certificates'),
    );
    assert.equal(at.orders(), 1);
  });
});

test('names on demand of the embedded CA are stapled, and dropped with their files by who may', async () => {
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  await using server = new TestServer();
  await using ask = await AskService.start();
  const name = 'shop.localhost';
  ask.permit(name);
  const owner = process.getuid?.() === 0 ? 'User nobody\nGroup nogroup' : '';
  server.configure(`
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https} https
${owner}
Workers 1
LocalCA on 127.0.0.1:${ca}
LocalCAPorts http:${http} https:${https}
MDCertificateAuthority local
MDCertificateAgreement accepted
MDPrivateKeys P-256
MDPortMap http:${http} https:${https}
MDStapling on
<VirtualHost *:${https}>
  ServerName _default_
  SSLEngine on
  MDOnDemand on
  MDOnDemandAsk ${ask.url}
  MDOnDemandAddress 127.0.0.1 ::1
</VirtualHost>
`);
  await server.start();
  await eventually('a staple', () => staple(https, name));
  assert.ok(existsSync(join(server.dir, 'md/domains', name, 'pubcert.p-256.pem')));
  ask.forbid(name);
  // What the service has said is remembered by the engine.
  await server.stop();
  await server.start();
  await server.run('renew', name);
  await eventually('the end of it', () => !existsSync(join(server.dir, 'md/domains', name)));
  await assert.rejects(staple(https, name));
  assert.deepEqual((await server.status()).domains, []);
});

/** The OCSP response that a client is shown, if any. */
async function staple(port: number, servername: string): Promise<Buffer | undefined> {
  const options = { port, host: '127.0.0.1', rejectUnauthorized: false, servername, requestOCSP: true };
  const socket = connect(options);
  try {
    const [response] = (await once(socket, 'OCSPResponse')) as [Buffer | null];
    return response ?? undefined;
  } finally {
    socket.destroy();
  }
}

/** Bytes of a process that are its own. */
function memory(pid: number): number {
  const [, kilobytes = '0'] = /^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}
