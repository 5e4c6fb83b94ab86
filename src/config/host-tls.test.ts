import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';
import type { Settings } from './settings.ts';

const secured = ({ listens }: Settings) => listens.filter(({ tls }) => tls).map(({ port }) => port);
const host = (addresses: string, more = '') =>
  `<VirtualHost ${addresses}>\nServerName a.example\n${more}\n</VirtualHost>\n`;
const managed = 'MDPortMap http:8080 https:8443\nMDomain a.example\n';

test('a host at two ports speaks TLS at the one that TLSEngine names', (t) => {
  const text = `Listen 8080\nListen 8443\nTLSEngine 8443\nProtocols http/1.1 acme-tls/1\n${managed}`;
  const settings = load(t, text + host('*:8080 *:8443'));
  assert.deepEqual(secured(settings), [8443]);
  assert.deepEqual(
    settings.domains.map(({ reach }) => [reach.http01.possible, reach.tlsAlpn01.possible]),
    [[true, true]],
  );
});

test('a host at every port speaks TLS at the one that TLSEngine names', (t) => {
  const settings = load(t, `Listen 8080\nListen 8443\nTLSEngine 8443\n${managed}${host('*')}`);
  assert.deepEqual(secured(settings), [8443]);
});

test('a host at two ports speaks TLS at the one whose Listen says https', (t) => {
  const settings = load(t, `Listen 8080\nListen 8443 https\n${managed}${host('*:8080 *:8443')}`);
  assert.deepEqual(secured(settings), [8443]);
});

test('SSLEngine on counts for all addresses of its host and no others', (t) => {
  const listens = 'Listen 8080\nListen 8443\nListen 9443\n';
  const settings = load(t, listens + managed + host('*:8443 *:9443', 'SSLEngine on'));
  assert.deepEqual(secured(settings), [8443, 9443]);
});

test('a plain host shares its port with one that speaks TLS at another', (t) => {
  const plain = '<VirtualHost *:8080>\nServerName plain.example\n</VirtualHost>\n';
  const text = `Listen 8080\nListen 8443\nTLSEngine 8443\n${managed}${host('*:8080 *:8443')}${plain}`;
  const settings = load(t, text);
  assert.deepEqual(
    settings.hosts.map(({ tls }) => tls.engine),
    [true, false],
  );
  assert.deepEqual(settings.warnings, []);
});

test('without virtual hosts, SSLEngine of the server counts', (t) => {
  const files = { 'c.pem': 'any' };
  const text = 'Listen 8443\nSSLEngine on\nSSLCertificateFile c.pem\n';
  assert.deepEqual(secured(load(t, text, { files })), [8443]);
});

test('TLS at port 80 is taken for what it rarely is: intended', (t) => {
  const told = (text: string) =>
    load(t, `Listen 80\nListen 443\n${managed}${text}`).warnings.map((one) => one.message);
  assert.match(
    told(host('*:80 *:443', 'SSLEngine on')).join(),
    /^Init: \(a\.example:80\) You configured HTTPS\(443\) on the standard HTTP\(80\) port!/,
  );
  assert.deepEqual(told(host('*:80 *:443')), []);
  assert.deepEqual(told(host('*:443', 'SSLEngine on')), []);
});

test('TLSEngine takes a port, an address with a port, and a name with a port', (t) => {
  const at = (place: string, addresses: string) =>
    load(t, `Listen 8443\nTLSEngine ${place}\n${managed}${host(addresses)}`).hosts[0]?.tls.engine;
  assert.equal(at('8443', '*:8443'), true);
  assert.equal(at('192.0.2.1:8443', '192.0.2.1:8443'), true);
  assert.equal(at('192.0.2.1:8443', '192.0.2.2:8443'), false);
  assert.equal(at('[2001:db8:0::1]:8443', '[2001:db8::1]:8443'), true);
  assert.equal(at('localhost:8443', '127.0.0.1:8443'), true);
  for (const place of ['no-port', ':8443', '[::1]', '70000', 'a.invalid:443'])
    assert.equal(refusal(t, `TLSEngine ${place}`).message, `TLSEngine: invalid address/port in '${place}'`);
});

test('the directives of both modules may not be for one address and port, and may for two', (t) => {
  const files = { 'c.pem': 'any' };
  const ssl = host('*:8443', 'SSLEngine on\nSSLCertificateFile c.pem');
  assert.match(
    refusal(t, `Listen 8443\nTLSEngine 8443\n${ssl}`, { files }).message,
    /SSLEngine on and TLSEngine are for the same address and port/,
  );
  const tls = '<VirtualHost *:9443>\nServerName b.example\nTLSCertificate c.pem\n</VirtualHost>\n';
  const { hosts } = load(t, `Listen 8443\nListen 9443\nTLSEngine 9443\n${ssl}${tls}`, { files });
  assert.deepEqual(
    hosts.map(({ tls: { family } }) => family),
    ['ssl', 'tls'],
  );
});
