/** MDCertificateProtocol tailscale, as far as the configuration goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

const name = 'desk.tail1234.ts.net';

test('tailscale comes with its socket and its kind of key', (t) => {
  const text = `MDPrivateKeys rsa4096\n<MDomain ${name}>\nMDCertificateProtocol Tailscale\n</MDomain>\nMDomain a.example`;
  const [tailnet, other] = load(t, text).domains;
  assert.equal(tailnet?.protocol, 'tailscale');
  assert.deepEqual(tailnet?.authorities, ['file://localhost/var/run/tailscale/tailscaled.sock']);
  assert.deepEqual(tailnet?.keys, [{ type: 'EC', name: 'p-256' }]);
  assert.equal(other?.protocol, 'acme');
  assert.deepEqual(other?.keys, [{ type: 'RSA', bits: 4096 }]);
});

test('the socket may be elsewhere, on this machine', (t) => {
  const at = (url: string) =>
    `MDomain ${name}\nMDCertificateProtocol tailscale\nMDCertificateAuthority ${url}`;
  const authorities = (url: string) => load(t, at(url)).domains[0]?.authorities;
  assert.deepEqual(authorities('file:///run/ts.sock'), ['file://localhost/run/ts.sock']);
  assert.deepEqual(authorities('file://localhost/run/ts.sock'), ['file://localhost/run/ts.sock']);
  for (const wrong of ['file://elsewhere/run/ts.sock', 'file:relative', 'file://']) {
    assert.match(refusal(t, at(wrong)).message, /a socket is named as file:\/\/localhost\/PATH/, wrong);
  }
});

test('protocol and authority have to fit', (t) => {
  const tailscale = `MDomain ${name}\nMDCertificateProtocol tailscale\nMDCertificateAuthority letsencrypt`;
  assert.match(refusal(t, tailscale).message, /can't be spoken with https:.*: name the socket of tailscaled/);
  const socket = `MDomain ${name}\nMDCertificateAuthority file://localhost/run/ts.sock`;
  assert.match(refusal(t, socket).message, /is a socket: scheme must be http or https, unless/);
  assert.match(refusal(t, 'MDCertificateProtocol wire').message, /use ACME or tailscale/);
});
