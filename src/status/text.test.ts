import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { domainPage } from './html/domain.ts';
import { document, domain, NOW } from './status.testing.ts';
import { details, overview } from './text.ts';

suite('the status for people', () => {
  test('calls a domain ok whose certificates are served, and says what serves instead of them', () => {
    assert.match(overview(document([domain()])), /^a\.test +ok /m);
    const idle = domain({ unserved: 'SSLCertificateFile at /httpd.conf:6 keeps serving' });
    const shown = overview(document([idle]));
    assert.match(shown, /^a\.test +not served /m);
    assert.match(shown, /^a\.test:\n +not served: SSLCertificateFile at \/httpd\.conf:6 keeps serving$/m);
    assert.match(details(idle, NOW), /^ +not served: SSLCertificateFile at \/httpd\.conf:6 keeps serving$/m);
  });

  test('makes no table of no domains', () => {
    assert.equal(overview(document([])), 'Latchkey 1: no managed domains; 1 workers, generation 1\n');
  });

  test('says how far a first start has come, and what to do about a failure', () => {
    const waiting = { state: 'incomplete', certificates: [] } as const;
    const type = 'urn:ietf:params:acme:error:caa';
    const failing = domain({
      name: 'c.test',
      ...waiting,
      errors: 1,
      problem: { type, detail: 'not permitted' },
      remedy: 'Permit the CA',
    });
    const shown = overview(
      document([domain(), domain({ name: 'b.test', ...waiting, running: true }), failing]),
    );
    assert.match(shown, /1 of 3 managed domains have their certificates/);
    assert.match(shown, /^2 are missing theirs; 1 renewals are under way$/m);
    assert.match(shown, /not permitted\n +\(urn:\S+\)\n +Permit the CA$/m);
    assert.doesNotMatch(overview(document([domain(), failing])), /under way/);
  });

  test('tells what happened in the last run only', () => {
    const entry = (when: number, type: string) => ({ when, type, detail: `${type} ${when - NOW}` });
    const log = [
      entry(NOW + 3, 'installed'),
      entry(NOW + 2, 'starting'),
      entry(NOW + 1, 'renewal-error'),
      entry(NOW, 'starting'),
    ];
    const shown = details(domain({ log }), NOW);
    assert.match(shown, /installed 3\n.*starting 2\n$/);
    assert.doesNotMatch(shown, /renewal-error|starting 0/);
    assert.match(shown, /--json/);
  });

  test('tells what was seen beforehand, with its remedy, in text and on the page', async () => {
    const finding = {
      severity: 'problem',
      kind: 'dns',
      name: 'a.test',
      detail: 'a.test has <no> address',
    } as const;
    const seen = domain({ preflight: [{ ...finding, remedy: 'add one' }] });
    assert.match(details(seen, NOW), /^ {2}problem: a\.test has <no> address\n {4}add one$/m);
    const request = {
      path: '/a.test',
      rawPath: '/a.test',
      query: new URLSearchParams(),
      managedDomain: undefined,
      hostname: 'a.test',
      showsDomains: true,
      check: { name: 'crt.sh', url: 'https://crt.sh?q=' },
    };
    const { body } = await domainPage(seen, document([seen]), request);
    assert.ok(typeof body === 'string');
    assert.match(body, /a\.test has &lt;no&gt; address[^]*What to do:<\/b> add one/);
  });
});

test('while much is to be obtained it says how far that is', () => {
  const obtaining = { total: 1000, obtained: 412, failing: 3, left: 12 * 60_000 };
  const text = overview({ ...document([domain()]), obtaining });
  assert.match(text, /^412 of 1000 certificates obtained, 3 failing, about 12 min left$/m);
});
