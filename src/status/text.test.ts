import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { domainPage } from './html/domain.ts';
import { certificate, document, domain, NOW, staple } from './status.testing.ts';
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

  test('shows what comes from a CA without letting it speak to the terminal', () => {
    const problem = { type: 'urn:test', detail: 'red \x1b[31m or a line\nof its own' };
    const failing = domain({ state: 'incomplete', problem });
    for (const shown of [overview(document([failing])), details(failing, NOW)]) {
      assert.match(shown, /red \\x1b\[31m or a line\\nof its own/);
    }
  });

  test('does not say that a renewal fails where a command does', () => {
    const detail = 'MDNotifyCmd x ended with code 1';
    const problem = { type: 'urn:org:apache:httpd:log:AH10108:', detail };
    assert.match(overview(document([domain({ problem })])), /^a\.test +command fails /m);
    assert.match(overview(document([domain({ problem, errors: 0 })])), /^ +failed[,:]/m);
    const due = domain({ problem, state: 'incomplete' });
    assert.match(overview(document([due])), /^a\.test +renewal fails /m);
  });

  test('explains the first in trouble of very many, and all that were asked for', () => {
    const problem = { type: 'urn:test', detail: 'no' };
    const many = Array.from({ length: 25 }, (_, index) => domain({ name: `d${index}.test`, problem }));
    const failing = document([domain(), ...many]);
    assert.equal(overview(failing).match(/^d\d+\.test:$/gm)?.length, 20);
    assert.match(overview(failing), /^and 5 more in trouble \(--show failing/m);
    const asked = overview(document([domain(), ...many], { show: 'failing' }), true);
    assert.equal(asked.match(/^d\d+\.test:$/gm)?.length, 25);
    assert.match(asked, /^25 of 26 are of the kind asked for$/m);
    assert.doesNotMatch(asked, /^a\.test/m);
  });

  test('makes no table of no domains', () => {
    assert.equal(overview(document([])), 'Latchkey 1: no managed domains; 1 workers, generation 1\n');
    const refused = { overload: 5, connections: 4, handshakes: 0 };
    const load = { connections: 0, handshakes: 0, refused };
    const busy = (lastRefused: number | undefined) => ({
      ...document([]),
      workers: [
        { id: 1, pid: 1 },
        { id: 2, pid: 2, load: { ...load, lastRefused: undefined } },
        { id: 3, pid: 3, load: { ...load, lastRefused } },
      ],
    });
    assert.match(
      overview(busy(NOW - 3_599_999)),
      /^warning: .*: 10 overloaded, 8 by ClientConnections, 0 by ClientHandshakes$/m,
    );
    assert.doesNotMatch(overview(busy(NOW - 3_600_000)), /warning/);
    assert.doesNotMatch(overview(busy(undefined)), /warning/);
  });

  test('says how far a first start has come, and what to do about a failure', () => {
    const waiting = { state: 'incomplete', certificates: [] } as const;
    const type = 'urn:ietf:params:acme:error:caa';
    const failing = domain({
      name: 'c.test',
      ...waiting,
      errors: 1,
      nextRun: NOW + 60_000,
      problem: { type, detail: 'not permitted' },
      remedy: 'Permit the CA',
    });
    const shown = overview(
      document([domain(), domain({ name: 'b.test', ...waiting, running: true }), failing]),
    );
    assert.match(shown, /1 of 3 managed domains have their certificates/);
    assert.match(shown, /^2 missing; renewals under way: 1$/m);
    assert.match(shown, /failed 1 time, next try in 1 min \(now: latchkey renew c\.test\):$/m);
    assert.match(shown, /not permitted\n +\(urn:\S+\)\n +Permit the CA$/m);
    assert.doesNotMatch(overview(document([domain(), failing])), /under way/);
  });

  test('says what is stapled, how old it is, and what is wrong where nothing is', () => {
    const broken = staple({
      id: 'bad',
      domain: 'other',
      names: ['b.test'],
      serial: '0B',
      stapled: false,
      valid: undefined,
      status: undefined,
      warning: 'strict clients will fail',
      errors: 2,
      problem: { type: 'responder-status', detail: 'it answers with status 500' },
      nextRun: NOW + 60_000,
    });
    const shown = overview(document([domain()], undefined, [staple(), broken]));
    assert.match(
      shown,
      /^OCSP stapling: 1 of 2 certificates are stapled; the oldest response is of 1 d ago; the last request failed for 1$/m,
    );
    assert.match(
      shown,
      /^ {2}b\.test \(serial 0B\):\n +strict clients will fail\n +failed 2 times, next try in 1 min:\n +it answers with status 500$/m,
    );
    const one = domain({ certificates: [certificate()] });
    assert.match(
      details(one, NOW, [staple()]),
      /^ +staple +good until 2026-11-28 06:00:00 UTC; http:\/\/ocsp\.test\/, asked again in 3 d$/m,
    );
    const without = staple({ impossible: 'certificate with serial 0A has no OCSP responder URL' });
    assert.match(details(one, NOW, [without]), /^ +staple +none: certificate with serial 0A has no OCSP/m);
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
