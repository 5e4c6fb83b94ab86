import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './config.testing.ts';
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
