import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serialize } from 'node:v8';
import { load } from '../../config/config.testing.ts';
import { forWorkers } from './plan.ts';

const SECRETS = ['tokenOfApi', 'tokenOfStore', 'otherStore', 'tokenServed', 'hmacOfAccount', 'proxyPassword'];

test('workers are told no secret: no token of a store or the API, no account binding, no password of a proxy', (t) => {
  const settings = load(
    t,
    `Listen 443
RuntimeAPI 127.0.0.1:8899 tokenOfApi
DynSSLStoreURL https://localhost:8888/certs
DynSSLStoreToken tokenOfStore
MDExternalAccountBinding kid hmacOfAccount
MDHttpProxy http://user:proxyPassword@127.0.0.1:3128/
MDomain a.example.org
MDRenewMode always
<VirtualHost *:443>
  ServerName a.example.org
  SSLEngine on
</VirtualHost>
<VirtualHost 127.0.0.1:443>
  ServerName b.example.org
  SSLEngine on
  DynSSLEnable on
</VirtualHost>
<VirtualHost 127.0.0.2:443>
  ServerName c.example.org
  SSLEngine on
  DynSSLEnable on
  DynSSLStoreToken otherStore
  <Location /certs>
    SetHandler dynssl-store
    DynSSLServeToken tokenServed
  </Location>
</VirtualHost>
<VirtualHost 127.0.0.3:443>
  ServerName _default_
  SSLEngine on
  MDOnDemand on
  MDOnDemandAsk http://localhost:9000/may
</VirtualHost>`,
  );
  const plan = { generation: 1, settings, setIds: [], clientCas: {}, backendPems: {}, ticketKeyFiles: {} };
  const leaking = (what: object) => SECRETS.filter((secret) => serialize(what).includes(secret));
  // What is shown to this server is kept as a digest everywhere.
  assert.deepEqual(leaking(plan), ['tokenOfStore', 'otherStore', 'hmacOfAccount', 'proxyPassword']);
  assert.deepEqual(leaking(forWorkers(plan)), []);
  assert.deepEqual(forWorkers(plan).settings.hosts, settings.hosts);
});
