import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

test('balancers are put together from sections, members and ProxyPass lines', (t) => {
  const { base, warnings } = load(
    t,
    `<Proxy balancer://App>
       BalancerMember http://10.0.0.1:8080/ route=a loadfactor=2 retry=5
       BalancerMember unix:/run/b.sock|http://localhost status=+H
       ProxySet lbmethod=bybusyness nonce=x
     </Proxy>
     BalancerMember balancer://app h2c://10.0.0.3
     ProxyPass /app balancer://app/x stickysession=ROUTEID|sid`,
  );
  assert.deepEqual(base.proxy.balancers, [
    {
      name: 'balancer://app',
      members: [
        { url: 'http://10.0.0.1:8080', parameters: { route: 'a', loadfactor: '2', retry: '5' } },
        { url: 'unix:/run/b.sock|http://localhost', parameters: { status: '+H' } },
        { url: 'h2c://10.0.0.3', parameters: {} },
      ],
      parameters: { lbmethod: 'bybusyness', stickysession: 'ROUTEID|sid' },
    },
  ]);
  assert.deepEqual(
    warnings.map(({ message }) => message),
    ['ProxySet parameter nonce has no effect in Latchkey and is ignored'],
  );
});

test('a virtual host has the base server’s proxies after its own, unless it declines', (t) => {
  const { hosts } = load(
    t,
    `ProxyPass /a http://base.test/
     ProxyPassMatch ^/(\\d+)$ http://base.test/n/$1
     ProxySourceAddress 192.0.2.1
     BalancerMember balancer://x http://m1.test
     <Proxy http://base.test>
       ProxySet timeout=7
     </Proxy>
     <VirtualHost *:80>
       ProxyPass /b http://own.test/
       ProxyMaxForwards 5
     </VirtualHost>
     <VirtualHost *:80>
       ProxyPassInherit Off
     </VirtualHost>`,
  );
  const [first, second] = hosts;
  const ways = first?.mappings.map((mapping) => [String(mapping.from), mapping.to]);
  assert.deepEqual(ways, [
    ['/b', 'http://own.test/'],
    ['/a', 'http://base.test/'],
    [String(/^\/(\d+)$/s), 'http://base.test/n/$1'],
  ]);
  assert.deepEqual(second?.mappings, []);
  assert.deepEqual(first?.proxy, {
    timeout: undefined,
    reverse: [],
    sourceAddress: '192.0.2.1',
    maxForwards: 5,
    workers: [{ url: 'http://base.test', parameters: { timeout: '7' } }],
    balancers: [
      { name: 'balancer://x', members: [{ url: 'http://m1.test', parameters: {} }], parameters: {} },
    ],
  });
});

test('what is said per place is per place', (t) => {
  const { base } = load(
    t,
    `ProxyErrorOverride On
     ProxyPassReverseCookiePath /app/ /
     <Location /x>
       ProxyErrorOverride On 404 500
       ProxyAddHeaders Off
       ProxyPreserveHost On
       ProxyPassReverseCookieDomain internal.test www.test
     </Location>`,
  );
  assert.equal(base.directory.proxyErrorOverride, 'all');
  assert.deepEqual(base.directory.proxyCookies, [{ attribute: 'path', from: '/app/', to: '/' }]);
  assert.deepEqual(base.sections[0]?.settings, {
    proxyErrorOverride: [404, 500],
    proxyAddHeaders: false,
    proxyPreserveHost: true,
    proxyCookies: [{ attribute: 'domain', from: 'internal.test', to: 'www.test' }],
  });
});

for (const [line, message] of [
  ['ProxyPass / ftp://b/', /ProxyPass: ftp: is not supported/],
  ['ProxyPass / unix:run/x|http://l/', /begin with a slash/],
  ['ProxyPass / http://b/ lbmethod=byrequests', /unknown Worker parameter 'lbmethod'/],
  ['ProxyPass / balancer://b/ lbmethod=heartbeat', /use byrequests or bybusyness/],
  ['ProxyPass / balancer://b/ nonsense=1', /unknown balancer parameter 'nonsense'/],
  ['ProxyPass / http://b/ timeout=0', /at least one second/],
  ['ProxyPassMatch ^/(.*)$ http://$1/', /must be absolute/],
  ['ProxyPassMatch ^/(.*$ http://b/$1', /Regex could not be compiled/],
  ['<Location /x>\nProxyPassMatch ^/ http://b/\n</Location>', /not allowed in <Location> context/],
  ['BalancerMember http://b/', /BalancerMember needs a balancer/],
  ['BalancerMember balancer://a balancer://b', /a balancer can't be a member/],
  ['BalancerMember balancer://a http://b loadfactor=0', /a number from 1 to 100/],
  ['BalancerMember balancer://a http://b status=X', /letters of/],
  ['ProxySourceAddress localhost', /is no IP address/],
  ['ProxySet timeout=5', /ProxySet needs a URL/],
  ['ProxyErrorOverride Maybe', /supported parameter values/],
  ['ProxyErrorOverride On 200', /from 400 to 599/],
] as const)
  test(`refused: ${line}`, (t) => {
    assert.match(refusal(t, line).message, message);
  });
