/** CAs that are down, slow, broken or busy: each keeps its own domains waiting, and the status says why. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { suite, test } from 'node:test';
import { reply, startHostileCa, type HostileCa } from '../../src/acme/hostile-ca.testing.ts';
import { createFallbackCertificate } from '../../src/pki/selfsigned.ts';
import { TestServer, eventually, freePorts } from '../latchkey.testing.ts';
import { getPlain, getSecure, hosts, isClosed, localAuthority, server } from './faults.testing.ts';

const HOUR = 3_600_000;

interface Fault {
  /** What the CA does; without, it is not there. */
  readonly misbehave?: (ca: HostileCa) => void;
  readonly strange?: boolean;
  /** What the status says of it. */
  readonly said: RegExp;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  down: { said: /localhost:1\/directory.*(ECONNREFUSED|refused)/ },
  stranger: { strange: true, said: /self[- ]signed certificate/ },
  html: { misbehave: (ca) => ca.always('directory', reply.html()), said: /an HTML page instead of JSON/ },
  error: {
    misbehave: (ca) => ca.always('newOrder', reply.problem('serverInternal', 500)),
    said: /hostile serverInternal[\s\S]*\(urn:ietf:params:acme:error:serverInternal\)/,
  },
  page: { misbehave: (ca) => ca.always('newOrder', reply.html(500)), said: /500/ },
  busy: {
    misbehave: (ca) =>
      ca.always('newOrder', reply.problem('rateLimited', 429, {}, { 'retry-after': '7200' })),
    said: /hostile rateLimited/,
  },
  refused: {
    misbehave: (ca) =>
      ca.always(
        'newOrder',
        reply.problem('rejectedIdentifier', 403, {
          subproblems: [
            {
              type: 'urn:ietf:params:acme:error:rejectedIdentifier',
              detail: 'not this one',
              identifier: { type: 'dns', value: 'refused.latchkey.test' },
            },
          ],
        }),
      ),
    said: /hostile rejectedIdentifier[\s\S]*refused\.latchkey\.test: not this one/,
  },
};

const domain = (name: string, url: string, ...more: string[]) =>
  `<MDomain ${name}.latchkey.test>\nMDCertificateAuthority ${url}\n${more.join('\n')}\n</MDomain>\n`;

test('CAs in trouble keep nobody else waiting, and the status says what is wrong and when is next', async () => {
  const [http = 0, https = 0] = await freePorts(2);
  await using stack = new AsyncDisposableStack();
  const newCa = async (options = {}) => stack.use(await startHostileCa(options));
  const cas = new Map<string, HostileCa>();
  for (const [name, { misbehave, strange }] of Object.entries(FAULTS)) {
    if (!misbehave && !strange) continue;
    const { certPem: cert, keyPem: key } = await createFallbackCertificate({
      names: ['localhost'],
      now: Date.now(),
    });
    const ca = await newCa(strange ? { tls: { cert, key } } : {});
    misbehave?.(ca);
    cas.set(name, ca);
  }
  const slow = await newCa();
  slow.always('directory', reply.silence);
  const good = await newCa();

  const one = stack.use(new TestServer());
  one.write('htdocs/index.html', 'hello');
  const urlOf = (name: string) => cas.get(name)?.directoryUrl ?? 'http://localhost:1/directory';
  const names = Object.keys(FAULTS);
  one.configure(
    server(
      { http, https },
      'Workers 1',
      'MDCertificateAgreement accepted',
      'MDContactEmail admin@latchkey.test',
      'MDPrivateKeys secp256r1',
      // What is tried again meanwhile would have begun another log, or be at work.
      'MDRetryDelay 1h',
      `MDPortMap http:${http} https:${https}`,
      ...names.map((name) => domain(name, urlOf(name))),
      domain('slow', slow.directoryUrl),
      domain('good', good.directoryUrl),
      hosts({ http, https }, ...[...names, 'slow', 'good'].map((name) => `${name}.latchkey.test`)),
    ),
  );
  await one.start();

  const status = await eventually('all to have failed, or not', async () => {
    const document = await one.status();
    const settled = document.domains.filter(({ errors, state }) => errors > 0 || state === 'complete');
    return settled.length === names.length + 1 && document;
  });
  const { stdout: table } = await one.run('status');
  for (const [name, { said }] of Object.entries(FAULTS)) {
    const [, own = ''] = new RegExp(`\n${name}\\.latchkey\\.test:\n((?:  .*\n?)+)`).exec(table) ?? [];
    assert.match(own, /^ {2}failed 1 time, next try in \d+ /, name);
    assert.match(own, said, `${name}: ${own}`);
    assert.match(table, new RegExp(`${name}\\.latchkey\\.test +failing +- +- +tries again in \\d+`));
    const details = await one.run('status', `${name}.latchkey.test`);
    assert.match(details.stdout, /What happened, newest first:\n.*renewal-error/);
  }
  const busy = status.domains.find(({ name }) => name === 'busy.latchkey.test');
  assert.ok((busy?.nextRun ?? 0) - status.now > 1.9 * HOUR, 'Retry-After is obeyed');
  assert.match(table, /slow\.latchkey\.test +renewing +- +- +Contacting ACME server/);
  assert.match(table, /good\.latchkey\.test +ok /);
  assert.equal((await getSecure(https, 'good.latchkey.test')).body, 'hello');
  assert.equal((await getSecure(https, 'slow.latchkey.test')).status, 503);
  assert.equal((await getPlain(http, 'down.latchkey.test')).body, 'hello');

  // A CA that has recovered is asked again, on demand at once.
  cas.get('page')?.always('newOrder', undefined);
  const renewal = await one.run('renew', 'page.latchkey.test');
  assert.equal(renewal.code, 0, renewal.stderr);
  assert.match(renewal.stdout, /^order .*\n[\s\S]*\nserved: +serial [0-9A-F]+, valid until .*\n$/m);
  const failing = await one.run('renew', 'html.latchkey.test');
  assert.equal(failing.code, 1);
  assert.match(failing.stderr, /^not renewed: .*HTML page.*; next try /);
});

suite('the embedded CA', () => {
  test('whose port is taken is told at start, and at a reload, and nothing changes', async (t) => {
    const [http = 0, https = 0, port = 0, taken = 0] = await freePorts(4);
    const holder = createServer().listen(taken, '127.0.0.1');
    await once(holder, 'listening');
    t.after(() => holder.close());
    const configuration = (ca: number) =>
      server({ http, https }, 'Workers 1', localAuthority({ http, https }, ca, 'a.latchkey.localhost'));
    await using one = new TestServer();
    one.write('htdocs/index.html', 'hello');
    one.configure(configuration(taken));
    const { code, stderr } = await one.run('-k', 'start');
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${taken}: another program has that port`));
    assert.deepEqual(one.processes(), []);
    assert.ok(await isClosed(http));

    one.configure(configuration(port));
    await one.start();
    await eventually('a certificate', async () => (await one.status()).domains[0]?.state === 'complete');
    one.configure(configuration(taken));
    const before = one.log().length;
    await one.run('-k', 'graceful');
    await eventually('the log to tell', () => new RegExp(`error.*${taken}`).test(one.log().slice(before)));
    assert.equal((await getSecure(https, 'a.latchkey.localhost')).body, 'hello');
  });
});
