import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { load, refusal } from './config.testing.ts';

const ASK = 'MDOnDemandAsk http://localhost:9000/may-have';

function host(text: string, name = '_default_'): string {
  return `<VirtualHost *:443>\nServerName ${name}\nSSLEngine on\n${text}\n</VirtualHost>\n`;
}

suite('names on demand', () => {
  test('need a service that permits them', (t) => {
    const { message, line } = refusal(t, `Listen 443\n${host('MDOnDemand on')}`);
    assert.match(message, /add MDOnDemandAsk http/);
    assert.equal(line, 5);
  });

  test('without another word have the documented defaults, and are ordered as managed domains are', (t) => {
    const { onDemand, dynamic, hosts } = load(
      t,
      `Listen 80\nListen 443
MDCertificateAgreement accepted
MDContactEmail admin@example.org
MDPrivateKeys P-256
MDRenewMode manual
${host(`MDOnDemand on\n${ASK}\nProtocols http/1.1 acme-tls/1\nMDCAChallenges tls-alpn-01`)}`,
    );
    const [{ template, ...settings } = { template: undefined }] = onDemand;
    assert.deepEqual(settings, {
      id: 'on-demand',
      ask: 'http://localhost:9000/may-have',
      wait: 20_000,
      keep: 30 * 86_400_000,
      addresses: [],
    });
    assert.equal(hosts[0]?.dynamicStore, 'on-demand');
    assert.deepEqual(
      dynamic.onDemand.map(({ id, wait }) => [id, wait]),
      [['on-demand', 20_000]],
    );
    const { keys, contacts, challenges, renewMode, used, reach } = template ?? {};
    assert.deepEqual(
      { keys, contacts, challenges, renewMode, used },
      {
        keys: [{ type: 'EC', name: 'p-256' }],
        contacts: ['mailto:admin@example.org'],
        challenges: ['tls-alpn-01'],
        renewMode: 'auto',
        used: true,
      },
    );
    assert.deepEqual([reach?.http01.possible, reach?.tlsAlpn01.possible], [true, true]);
  });

  test('take times and addresses', (t) => {
    const { onDemand } = load(
      t,
      `Listen 443\n${host(`MDOnDemand on\n${ASK}?t=1\nMDOnDemandWait 5\nMDOnDemandKeep 7\nMDOnDemandAddress 192.0.2.1 2001:DB8:0::1`)}`,
    );
    const [{ ask, wait, keep, addresses } = {}] = onDemand;
    assert.deepEqual(
      { ask, wait, keep, addresses },
      {
        ask: 'http://localhost:9000/may-have?t=1',
        wait: 5000,
        keep: 7 * 86_400_000,
        addresses: ['192.0.2.1', '2001:db8::1'],
      },
    );
  });

  test('of hosts that say the same are the same, of others are not', (t) => {
    const { hosts } = load(
      t,
      `Listen 443\nMDOnDemand on\n${ASK}\n${host('')}${host('ServerAlias *.a.example', 'a.example')}${host('MDPrivateKeys P-384', 'b.example')}${host('MDOnDemand off\nMDomain c.example', 'c.example')}`,
    );
    assert.deepEqual(
      hosts.map(({ dynamicStore }) => dynamicStore),
      ['on-demand', 'on-demand', 'on-demand.1', undefined],
    );
  });

  for (const [line, message] of [
    ['MDOnDemandAsk ftp://localhost/x', /scheme must be http or https/],
    ['MDOnDemandAsk http://user:word@localhost/x', /has no password/],
    ['MDOnDemandAsk http://localhost/x#y', /# cannot be in it/],
    ['MDOnDemandWait 10mi', /duration up to 50s/],
    ['MDOnDemandWait 0', /duration up to 50s/],
    ['MDOnDemandKeep 5s', /an hour at least/],
    ['MDOnDemandAddress example.org', /is no IP address/],
    [`DynSSLEnable on\nDynSSLStoreURL http://localhost/c\n${ASK}\nMDOnDemand on`, /Turn one of them off/],
  ] as const) {
    test(`refuse ${line.split('\n')[0]}`, (t) => {
      assert.match(refusal(t, `Listen 443\n${host(line)}`).message, message);
    });
  }

  test('are warned about where others may permit them', (t) => {
    const { warnings } = load(t, `Listen 443\n${host('MDOnDemand on\nMDOnDemandAsk http://192.0.2.1/x')}`);
    assert.match(warnings.map(({ message }) => message).join('\n'), /permits any name; use https/);
  });
});
