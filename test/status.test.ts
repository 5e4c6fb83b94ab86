/** The status over HTTP, of a whole server with its own CA. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { eventually, freePorts, missing, run, signal, TestServer } from './latchkey.testing.ts';

const DATE = /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/;
const SECRET = 'c2VjcmV0LWhtYWMta2V5LXNlY3JldC1obWFjLWtleQ';
const skip = missing('curl');

interface Site {
  readonly server: TestServer;
  readonly http: string;
  /** Body and status of a path of the TLS port, asked for under `name`. */
  https(name: string, path: string): Promise<{ readonly body: string; readonly code: string }>;
}

/** a.localhost gets its certificates; the CA of b.localhost is not there. */
async function started(server: TestServer, ...lines: string[]): Promise<Site> {
  const [http = 0, https = 0, ca = 0, nobody = 0] = await freePorts(4);
  server.configure(`
Workers 1
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https} https
LocalCA on 127.0.0.1:${ca}
LocalCAPorts http:${http} https:${https}
MDPortMap 80:${http} 443:${https}
MDCertificateAgreement accepted
MDContactEmail admin@a.localhost
MDCertificateAuthority local
MDPrivateKeys RSA P-256
MDRetryDelay 1h
MDStapling on
MDomain a.localhost
<MDomain b.localhost>
  MDExternalAccountBinding kid-1 ${SECRET}
  MDCertificateAuthority https://127.0.0.1:${nobody}/dir
</MDomain>
<Location /md-status>
  SetHandler md-status
</Location>
<Location /server-status>
  SetHandler server-status
</Location>
<Location /metrics>
  SetHandler latchkey-metrics
</Location>
<VirtualHost 127.0.0.1:${https}>
  ServerName a.localhost
  ServerAlias www.a.localhost
</VirtualHost>
<VirtualHost 127.0.0.1:${https}>
  ServerName b.localhost
</VirtualHost>
${lines.join('\n')}
`);
  await server.start();
  return {
    server,
    http: `http://127.0.0.1:${http}`,
    async https(name, path) {
      const to = ['--resolve', `${name}:${https}:127.0.0.1`, `https://${name}:${https}${path}`];
      const { stdout } = await run('curl', ['-sk', '-w', '\n%{http_code}', ...to]);
      const at = stdout.lastIndexOf('\n');
      return { body: stdout.slice(0, at), code: stdout.slice(at + 1) };
    },
  };
}

async function settled({ server }: Site): Promise<void> {
  await eventually('one certificate and one failure', async () => {
    const { domains } = await server.status();
    return domains[0]?.certificates.length === 2 && domains[1]?.problem;
  });
}

async function get(url: string): Promise<string> {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  return response.text();
}

const json = async <T = Domain>(url: string) => JSON.parse(await get(url)) as T;

interface Certificate {
  readonly valid: { readonly from: string; readonly until: string };
  readonly serial: string;
  readonly 'sha256-fingerprint': string;
  readonly 'ari-cert-id': string;
  readonly ocsp?: { readonly status: string; readonly valid?: { readonly until: string } };
  readonly 'issuer-name': string;
}

interface Certificates {
  readonly rsa: Certificate;
  readonly renewal?: unknown;
}

interface Domain {
  readonly name: string;
  readonly domains: readonly string[];
  readonly ca: { readonly account?: string };
  readonly eab?: unknown;
  readonly state: number;
  readonly renew: boolean;
  readonly watched: boolean;
  readonly 'must-staple': boolean;
  readonly 'renew-at': string;
  readonly cert: Certificates;
  readonly renewal?: {
    readonly name: string;
    readonly finished: boolean;
    readonly errors: number;
    readonly 'next-run': string;
    readonly log?: { readonly entries: readonly { readonly when: string }[] };
    readonly cert: Certificates;
  };
}

interface List {
  readonly version: string;
  readonly 'managed-domains': readonly Domain[];
}

suite('the status over HTTP', { concurrency: 2, skip }, () => {
  test('md-status tells of domains as mod_md does, and keeps secrets', async () => {
    await using server = new TestServer();
    const site = await started(server);
    await settled(site);
    const list = await json<List>(`${site.http}/md-status/`);
    assert.deepEqual(Object.keys(list), ['version', 'managed-domains']);
    const [a, b] = list['managed-domains'];
    assert.ok(a && b);
    assert.deepEqual([a.name, b.name], ['a.localhost', 'b.localhost']);
    // Whole they may differ: what happened to b.localhost goes on being written down.
    const { 'managed-domains': same } = await json<List>(`${site.http}/md-status/nobody.test`);
    assert.deepEqual(
      same.map(({ name }) => name),
      ['a.localhost', 'b.localhost'],
    );

    assert.deepEqual(a.domains, ['a.localhost', 'www.a.localhost']);
    assert.match(a.ca.account ?? '', /^ACME-/);
    assert.deepEqual(b.eab, { kid: 'kid-1', hmac: '***' });
    assert.deepEqual([a.state, a.renew, a.watched, a['must-staple']], [2, false, true, false]);
    assert.equal(a.renewal, undefined);
    assert.match(a['renew-at'], DATE);
    assert.deepEqual(Object.keys(a.cert), ['rsa', 'p-256', 'valid']);
    const { rsa } = a.cert;
    assert.match(rsa.serial, /^[0-9A-F]+$/);
    assert.match(rsa['sha256-fingerprint'], /^[0-9a-f]{64}$/);
    assert.match(rsa['ari-cert-id'], /^[\w-]+\.[\w-]+$/);
    assert.match(rsa['issuer-name'], /^\//);
    assert.match(rsa.valid.from, DATE);
    assert.match(rsa.valid.until, DATE);

    assert.deepEqual([b.state, b.renew], [1, true]);
    assert.deepEqual(b.cert, {});
    assert.equal(b.renewal?.log, undefined);
    const alone = await json(`${site.http}/md-status/b.localhost`);
    const { renewal } = alone;
    assert.ok(renewal);
    assert.deepEqual([renewal.name, renewal.finished, renewal.errors > 0], ['b.localhost', false, true]);
    assert.match(renewal['next-run'], DATE);
    assert.match(renewal.log?.entries[0]?.when ?? '', DATE);
    assert.equal((await json(`${site.http}/md-status/WWW.a.localhost`)).name, 'a.localhost');
    assert.ok(![JSON.stringify(list), JSON.stringify(await server.status())].join().includes(SECRET));

    // The engine counts all domains anew after a while only, however often it is asked.
    const auto = await eventually('the counts of now', async () => {
      const text = await get(`${site.http}/server-status?auto`);
      return /^ManagedCertificatesOK: 1$/m.test(text) && text;
    });
    for (const line of ['Total: 2', 'OK: 1', 'Renew: 1', 'Errored: 1', 'Ready: 0']) {
      assert.match(auto, new RegExp(`^ManagedCertificates${line}$`, 'm'));
    }
    assert.match(auto, /^ManagedDomain\[0\]Names\[1\]: www\.a\.localhost$/m);
    assert.match(auto, /^ManagedDomain\[0\]CheckAtURL: https:\/\/crt\.sh\?q=[0-9a-f]{64}$/m);
    assert.match(auto, /^ManagedDomain\[1\]ActivityNextRun: \d+$/m);
    await eventually('staples for both certificates', async () =>
      /^ManagedStaplingsOK: 2$/m.test(await get(`${site.http}/server-status?auto`)),
    );
    const { cert } = await json(`${site.http}/md-status/a.localhost`);
    assert.equal(cert.rsa.ocsp?.status, 'good');
    assert.match(cert.rsa.ocsp?.valid?.until ?? '', DATE);
    const page = await get(`${site.http}/server-status`);
    for (const title of ['Certificates', 'Staplings']) assert.ok(page.includes(`<h3>Managed ${title}</h3>`));
    assert.match(await get(`${site.http}/server-status/www.a.localhost`), /<h1>a\.localhost<\/h1>/);
    const metrics = await get(`${site.http}/metrics`);
    assert.match(metrics, /^latchkey_domains\{state="failing"\} 1$/m);
    assert.match(metrics, /^latchkey_domain_renewal_failures\{domain="b\.localhost"\} \d+$/m);
    assert.match(metrics, /^latchkey_renewals_obtained_total 1$/m);
    assert.match(metrics, /^latchkey_staples\{state="ok"\} 2$/m);
  });

  test('certificate-status is the host’s own, and tells of a certificate before it is used', async () => {
    await using server = new TestServer();
    const site = await started(server, 'MDActivateOn restart');
    const renewal = await eventually('a staged set', async () => {
      const { 'managed-domains': all } = await json<List>(`${site.http}/md-status/`);
      return all[0]?.renewal?.finished && all[0].renewal;
    });
    assert.deepEqual(Object.keys(renewal.cert), ['rsa', 'p-256', 'valid']);
    assert.equal((await site.https('a.localhost', '/.httpd/certificate-status')).code, '503', 'a stopgap');
    assert.equal((await server.run('-k', 'restart')).code, 0);
    const status = await eventually('its own certificate, and no other to come', async () => {
      const { code, body } = await site.https('a.localhost', '/.httpd/certificate-status');
      const told = code === '200' && (JSON.parse(body) as Certificates);
      return told && told.renewal === undefined && told;
    });
    assert.deepEqual(Object.keys(status), ['rsa', 'p-256', 'valid']);
    assert.deepEqual(Object.keys(status.rsa), ['valid', 'serial', 'sha256-fingerprint']);
    assert.equal(status.rsa.serial, renewal.cert.rsa.serial);
    assert.equal((await fetch(`${site.http}/.httpd/certificate-status`)).status, 404, 'no host of a domain');

    server.configure(`${server.read('httpd.conf')}MDCertificateStatus off\nMDServerStatus off\n`);
    assert.equal((await server.run('-k', 'graceful')).code, 0);
    assert.equal((await site.https('a.localhost', '/.httpd/certificate-status')).code, '404');
    assert.doesNotMatch(await get(`${site.http}/server-status?auto`), /Managed/);
  });

  test('says so while the engine is away, and is back with it', async () => {
    await using server = new TestServer();
    const site = await started(server);
    await settled(site);
    const away = await eventually('an answer without the engine', async () => {
      // Another is there soon, maybe before this test comes to ask.
      for (const engine of server.children().engine) signal(engine, 'SIGKILL');
      const response = await fetch(`${site.http}/md-status/`);
      return response.status === 503 && response;
    });
    assert.equal(away.headers.get('retry-after'), '5');
    assert.match(
      await away.text(),
      /^The engine.* does not answer at the moment\. Certificates go on being served/,
    );
    await eventually('the next engine', async () => (await fetch(`${site.http}/md-status/`)).ok);
  });
});
