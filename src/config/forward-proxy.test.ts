/** ProxyRequests and AllowCONNECT, as far as the configuration goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

const host = (inside: string) => `<VirtualHost *:3128>\nServerName proxy.example\n${inside}\n</VirtualHost>`;
const guard = (rule: string) => `<Proxy "*">\nRequire ${rule}\n</Proxy>`;

test('a host is no forward proxy unless told, and virtual hosts do as the server does', (t) => {
  assert.equal(load(t, host('')).hosts[0]?.forwardProxy, undefined);
  const { base, hosts } = load(
    t,
    `ProxyRequests On\nAllowCONNECT 443 8000-8099\n${guard('local')}\n${host('')}`,
  );
  const ports = [
    { from: 443, to: 443 },
    { from: 8000, to: 8099 },
  ];
  assert.deepEqual(base.forwardProxy?.connectPorts, ports);
  assert.deepEqual(hosts[0]?.forwardProxy, base.forwardProxy);
  assert.equal(load(t, `ProxyRequests On\n${host('ProxyRequests Off')}`).hosts[0]?.forwardProxy, undefined);
  const own = load(t, `AllowCONNECT 80\n${host('ProxyRequests On')}`);
  assert.deepEqual(own.hosts[0]?.forwardProxy?.connectPorts, [{ from: 80, to: 80 }]);
  const [usual] = load(t, host('ProxyRequests On')).hosts;
  assert.deepEqual(
    usual?.forwardProxy?.connectPorts.map(({ from }) => from),
    [443, 563],
  );
});

test('a proxy that lets in nobody or anybody is told once', (t) => {
  const warnings = (text: string) => load(t, text).warnings.map(({ line, message }) => `${line} ${message}`);
  const [none, ...more] = warnings(`ProxyRequests On\n${host('')}`);
  assert.match(none ?? '', /^1 ProxyRequests On: nobody may use the proxy.*Require ip NETWORK/);
  assert.deepEqual(more, []);
  const [open] = warnings(`ProxyRequests On\n${guard('all granted')}`);
  assert.match(open ?? '', /^1 This is an open proxy/);
  assert.deepEqual(warnings(`ProxyRequests On\n${guard('ip 10')}`), []);
  assert.deepEqual(warnings(`ProxyRequests On\n${guard('local')}\n${host('')}`), []);
  assert.deepEqual(warnings('ProxyRequests Off'), []);
});

test('ports that are none are refused', (t) => {
  for (const bad of ['0', '70000', '20-10', 'https', '443,563', '-1'])
    assert.match(refusal(t, `AllowCONNECT ${bad}`).message, /is no port and no range of ports/, bad);
});
