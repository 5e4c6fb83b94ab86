import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countLines, domainLines, serverLines, staplingLines } from './auto.ts';
import { certificate, document, domain, NOW, staple } from './status.testing.ts';

const check = { name: 'crt.sh', url: 'https://crt.sh?q=' };

test('a domain in service has the lines that mod_md prints', () => {
  const md = { ...domain().md, stapling: true };
  const one = domain({
    names: ['b.test', 'www.b.test'],
    name: 'b.test',
    md,
    authority: 'https://127.0.0.1:9/dir',
    certificates: [certificate({ sha256: 'f6b0' })],
  });
  assert.equal(
    domainLines(one, 1, NOW, check),
    `ManagedDomain[1]Domain: b.test
ManagedDomain[1]Names[0]: b.test
ManagedDomain[1]Names[1]: www.b.test
ManagedDomain[1]Status: good
ManagedDomain[1]ValidUntil: 2027-02-19
ManagedDomain[1]CAName: 127.0.0.1
ManagedDomain[1]CAURL: https://127.0.0.1:9/dir
ManagedDomain[1]Stapling: on
ManagedDomain[1]CheckAtType: p-256
ManagedDomain[1]CheckAtName: crt.sh
ManagedDomain[1]CheckAtURL: https://crt.sh?q=f6b0
ManagedDomain[1]CheckAtFingerprint: f6b0
ManagedDomain[1]ActivityRenew: 5097600
`,
  );
});

test('a failure keeps to its lines, whatever a CA has said', () => {
  const problem = { type: 'urn:x', detail: 'no\nManagedDomain[0]Status: good' };
  const failing = domain({
    state: 'incomplete',
    description: 'certificate(rsa) is missing',
    certificates: [],
    problem,
    errors: 2,
    nextRun: NOW + 26_000,
  });
  const lines = domainLines(failing, 0, NOW, check);
  assert.match(lines, /^ManagedDomain\[0\]Status: incomplete: certificate\(rsa\) is missing$/m);
  assert.doesNotMatch(lines, /^ManagedDomain\[0\]Status: good$/m);
  assert.match(lines, /^ManagedDomain\[0\]ActivityLastProblem: urn:x$/m);
  assert.match(lines, /^ManagedDomain\[0\]ActivityFinished: no$/m);
  assert.match(lines, /^ManagedDomain\[0\]ActivityRetries: 2$/m);
  assert.match(lines, /^ManagedDomain\[0\]ActivityNextRun: 26$/m);
  const { counts } = document([failing, domain(), domain({ staged: { validFrom: NOW }, reasons: ['due'] })]);
  assert.equal(
    countLines(counts),
    `ManagedCertificatesTotal: 3
ManagedCertificatesOK: 2
ManagedCertificatesRenew: 1
ManagedCertificatesErrored: 1
ManagedCertificatesReady: 1
`,
  );
});

test('what is put off has its reason and its next run', () => {
  const hold = { until: NOW + 60_000, reason: 'too many' };
  const lines = domainLines(domain({ hold, nextRun: hold.until }), 0, NOW, check);
  assert.match(lines, /^ManagedDomain\[0\]ActivityLastDetail: too many$/m);
  assert.match(lines, /^ManagedDomain\[0\]ActivityNextRun: 60$/m);
});

test('the server itself is told of in mod_status’ words', () => {
  const lines = serverLines(document([]), 'www.test');
  assert.match(lines, /^www\.test\nServerVersion: Latchkey\/1\n/);
  assert.match(lines, /^ServerUptimeSeconds: 3600$/m);
  assert.match(lines, /^ParentServerConfigGeneration: 1$/m);
});

test('stapling has the lines that mod_md prints', () => {
  const failed = staple({
    domain: 'other',
    status: undefined,
    valid: undefined,
    stapled: false,
    problem: { type: 'urn:x', detail: 'refused' },
    nextRun: NOW + 60_000,
  });
  const { stapling, staplingCounts } = document([domain()], { others: true }, [staple(), failed]);
  assert.equal(
    staplingLines(stapling, { staplingCounts, now: NOW }),
    `ManagedStaplingsTotal: 2
ManagedStaplingsOK: 1
ManagedStaplingsRenew: 0
ManagedStaplingsErrored: 1
ManagedStapling[0]Domain: a.test
ManagedStapling[0]CertificateID: c0ffee
ManagedStapling[0]OCSPStatus: good
ManagedStapling[0]StaplingValidUntil: 2026-11-28
ManagedStapling[0]ResponderName: ocsp.test
ManagedStapling[0]ResponderURL: http://ocsp.test/
ManagedStapling[0]ActivityRefresh: 259200
ManagedStapling[1]Domain: other
ManagedStapling[1]CertificateID: c0ffee
ManagedStapling[1]OCSPStatus: unknown
ManagedStapling[1]ResponderName: ocsp.test
ManagedStapling[1]ResponderURL: http://ocsp.test/
ManagedStapling[1]ActivityLastProblem: urn:x
ManagedStapling[1]ActivityLastDetail: refused
ManagedStapling[1]ActivityRefresh: 60
`,
  );
});
