/** Preflight and `latchkey doctor`, as an administrator meets them: the embedded CA's eyes, a DNS of the test's. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { test } from 'node:test';
import { startDns } from '../src/ca/dns.testing.ts';
import { localAuthority, server as base } from './faults/faults.testing.ts';
import { eventually, freePorts, TestServer } from './latchkey.testing.ts';

const NAME = 'www.example.org';

interface Diagnosis {
  readonly findings: readonly {
    severity: string;
    kind: string;
    name: string;
    detail: string;
    remedy: string;
  }[];
  readonly problems: readonly { detail: string }[];
}

test('a name that does not lead here is seen in the status and by doctor; once it does, doctor is content', async (t) => {
  const dns = await startDns(t);
  const [http = 0, https = 0, ca = 0] = await freePorts(3);
  const ports = { http, https };
  await using server = new TestServer();
  server.write('htdocs/index.html', 'x');
  server.configure(
    base(
      ports,
      localAuthority(ports, ca, NAME),
      `LocalCAResolver ${dns.server}`,
      'MDCAChallenges http-01',
      `MDRetryDelay 1h`,
    ),
  );
  const offline = await server.run('doctor', NAME, '--json');
  assert.equal(offline.code, 1);
  const { findings } = JSON.parse(offline.stdout) as Diagnosis;
  assert.match(
    findings.map(({ detail }) => detail).join('\n'),
    /has no address in DNS[^]*no server is running/,
  );

  await server.start();
  const seen = await eventually('the status to tell', async () => {
    const { stdout } = await server.run('status', NAME);
    return /problem: www\.example\.org has no address in DNS\n {4}add an A or AAAA record/.test(stdout);
  });
  assert.ok(seen);
  const typo = await server.run('doctor', 'wwww.example.org');
  assert.equal(typo.stderr, 'latchkey: wwww.example.org is not a name of a managed domain\n');
  const text = await server.run('doctor', NAME);
  assert.equal(text.code, 1);
  assert.match(text.stdout, /1 to look at\n {2}problem: www\.example\.org has no address in DNS\n/);

  // Some other machine answers at the AAAA record.
  const other = createServer((_, response) => response.writeHead(404).end());
  dns.records.set(`A ${NAME}`, ['127.0.0.1']);
  try {
    await once(other.listen(http, '::1'), 'listening');
    dns.records.set(`AAAA ${NAME}`, ['::1']);
    const found = await server.run('doctor', NAME, '--json');
    const [finding] = (JSON.parse(found.stdout) as Diagnosis).findings;
    assert.match(
      finding?.detail ?? '',
      /^AAAA ::1 port \d+ answers with status 404, but not as this server$/,
    );
    assert.match(finding?.remedy ?? '', /correct or remove the AAAA record/);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRNOTAVAIL')) throw error;
  } finally {
    other.close();
    dns.records.delete(`AAAA ${NAME}`);
  }

  const content = await server.run('doctor', NAME);
  assert.equal(content.code, 0, content.stdout + content.stderr);
  assert.match(content.stdout, /nothing that would keep its CA from issuing/);
  assert.deepEqual(readdirSync(`${server.dir}/md/challenges`), []);

  const renewed = await server.run('renew', NAME);
  assert.equal(renewed.code, 0, renewed.stderr);
  const { stdout } = await server.run('status', NAME);
  assert.doesNotMatch(stdout, /has no address/);
  const unknown = await server.run('doctor', 'nobody.example');
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /nobody\.example is not a name of a managed domain/);
});
