import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

const files = { 'a.pem': 'any', 'ticket.key': 'x'.repeat(48) };
const host = (name: string, lines: string) =>
  `<VirtualHost *:443>\nServerName ${name}\nSSLEngine on\nSSLCertificateFile a.pem\n${lines}\n</VirtualHost>\n`;
type Context = Parameters<typeof load>[0];
const sessions = (t: Context, text: string) =>
  load(t, `Listen 443\n${text}`, { files }).hosts.map(({ tls }) => tls.sessions);

test('sessions: five minutes by tickets, unless a host or the server says otherwise', (t) => {
  const base = 'SSLSessionCacheTimeout 3600\nSSLSessionTicketKeyFile ticket.key\n';
  const own = host('b.test', 'SSLSessionTickets off\nSSLSessionCacheTimeout 60');
  const { ticketKeyFile } = load(t, base, { files }).base.tls.sessions;
  assert.match(ticketKeyFile ?? '', /\/ticket\.key$/);
  assert.deepEqual(sessions(t, host('a.test', '')), [
    { tickets: true, timeout: 300, ticketKeyFile: undefined },
  ]);
  const [first, second] = sessions(t, base + host('a.test', '') + own);
  assert.deepEqual([first?.tickets, first?.timeout], [true, 3600]);
  assert.deepEqual([second?.tickets, second?.timeout], [false, 60]);
  assert.match(second?.ticketKeyFile ?? '', /\/ticket\.key$/);
});

test('TLSSessionCache none turns resumption off, every other form leaves it on', (t) => {
  const tickets = (line: string) =>
    sessions(
      t,
      `TLSEngine 443\n${line}\n<VirtualHost *:443>\nServerName a\nTLSCertificate a.pem\n</VirtualHost>`,
    )[0]?.tickets;
  assert.equal(tickets('TLSSessionCache none'), false);
  for (const line of ['', 'TLSSessionCache default', 'TLSSessionCache shmcb:x'])
    assert.equal(tickets(line), true);
});

test('a timeout and a key file have to be something of use', (t) => {
  for (const text of ['-1', 'x', '604801'])
    assert.match(refusal(t, `SSLSessionCacheTimeout ${text}`).message, /^SSLSessionCacheTimeout/);
  assert.match(refusal(t, 'SSLSessionTicketKeyFile none').message, /does not exist or is empty/);
});
