/** Who goes on where it was after a stop and a start: whoever has a ticket of a key that is in a file. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { TestServer, freePorts, missing, run, selfSigned } from './latchkey.testing.ts';

const NAME = 'a.latchkey.test';
const versions = ['TLSv1.2', 'TLSv1.3'] as const;

interface Visit {
  readonly resumed: boolean;
  readonly session: Buffer | undefined;
}

async function visit(port: number, version: (typeof versions)[number], session?: Buffer): Promise<Visit> {
  const only = { minVersion: version, maxVersion: version, rejectUnauthorized: false };
  const socket = connect({ host: '127.0.0.1', port, servername: NAME, ...only, ...(session && { session }) });
  let next: Buffer | undefined;
  socket.on('session', (bytes) => (next = bytes));
  socket.resume();
  await once(socket, 'secureConnect');
  const resumed = socket.isSessionReused();
  // Of TLS 1.3 one comes after the handshake.
  if (version === 'TLSv1.2') next = socket.getSession();
  socket.write(`GET / HTTP/1.1\r\nHost: ${NAME}\r\nConnection: close\r\n\r\n`);
  await once(socket, 'end');
  socket.destroy();
  return { resumed, session: next };
}

test('tickets outlive a server whose key is in a file', { skip: missing('openssl') ?? false }, async () => {
  const [filed = 0, changed = 0, random = 0, without = 0, none = 0] = await freePorts(5);
  await using server = new TestServer();
  const { cert, key } = selfSigned(server.dir, NAME);
  for (const file of ['ticket.key', 'other.key']) {
    const { code, stderr } = await run('openssl', ['rand', '-out', join(server.dir, file), '48']);
    assert.equal(code, 0, stderr);
  }
  server.write('htdocs/index.html', 'hello');
  const host = (port: number, lines: string) => `
<VirtualHost *:${port}>
  ServerName ${NAME}
  ${lines}
</VirtualHost>`;
  const ssl = `SSLEngine on\nSSLCertificateFile ${cert}\nSSLCertificateKeyFile ${key}\n`;
  server.configure(`
${[filed, changed, random, without, none].map((port) => `Listen 127.0.0.1:${port}`).join('\n')}
Workers 2
DocumentRoot htdocs
TLSEngine ${none}
TLSSessionCache none
${host(filed, `${ssl}SSLSessionTicketKeyFile ticket.key`)}
${host(changed, `${ssl}SSLSessionTicketKeyFile other.key`)}
${host(random, ssl)}
${host(without, `${ssl}SSLSessionTickets off`)}
${host(none, `TLSCertificate ${cert} ${key}`)}`);
  await server.start();

  const places = { filed, changed, random, without, none };
  const visits = Object.entries(places).flatMap(([place, port]) =>
    versions.map((version) => ({ place, port, version })),
  );
  const sessions = new Map<string, Buffer | undefined>();
  /** Where a session was resumed. */
  const again = async () => {
    const resumed = new Set<string>();
    for (const { place, port, version } of visits) {
      const id = `${place} ${version}`;
      const now = await visit(port, version, sessions.get(id));
      if (now.resumed) resumed.add(id);
      sessions.set(id, now.session);
    }
    return [...resumed];
  };
  const of = (...chosen: string[]) => chosen.flatMap((place) => versions.map((one) => `${place} ${one}`));

  assert.deepEqual(await again(), []);
  assert.deepEqual(await again(), of('filed', 'changed', 'random'));
  await server.stop();
  writeFileSync(join(server.dir, 'other.key'), randomBytes(48));
  await server.start();
  assert.deepEqual(await again(), of('filed'), 'the other keys are gone');
  assert.deepEqual(await again(), of('filed', 'changed', 'random'));
});
