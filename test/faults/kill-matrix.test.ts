/**
 * `kill -9` at every step of an order. The CA holds its answer at a step, so that each kill hits exactly that
 * one: first the engine's, when the CA has not done what it was asked for; then, at the same step, the
 * supervisor's, when the CA has done it and its answer is lost. The order goes on both times.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { reply, startHostileCa, type Endpoint, type HostileCa } from '../../src/acme/hostile-ca.testing.ts';
import { TestServer, eventually, freePorts, signal } from '../latchkey.testing.ts';
import { getPlain, getSecure, managed, server } from './faults.testing.ts';

const NAME = 'a.latchkey.test';
const CHALLENGE = `challenges/${NAME}/acme-http-01.txt`;
const staged = (file: string) => `staging/${NAME}/${file}`;

interface Step {
  readonly endpoint: Endpoint;
  /** Which request of the endpoint it is. */
  readonly request?: number;
  /** What is asked for first when the order goes on; default: the same. */
  readonly next?: Endpoint;
  /** The CA refuses to finalize at first, which makes the engine ask for the order. */
  readonly notReady?: true;
  /** What is in the store by then, and what is not yet. */
  readonly there: string;
  readonly missing?: string;
}

const STEPS: readonly Step[] = [
  { endpoint: 'directory', there: staged('md.json'), missing: staged('account.pem') },
  { endpoint: 'newNonce', there: staged('account.pem'), missing: staged('account.json') },
  { endpoint: 'newAccount', there: staged('account.pem'), missing: staged('account.json') },
  { endpoint: 'newOrder', there: staged('account.json'), missing: staged('order.json') },
  { endpoint: 'authorization', there: staged('order.json'), missing: CHALLENGE },
  { endpoint: 'challenge', there: CHALLENGE, missing: staged('privkey.secp256r1.pem') },
  // By then the name is valid: it is the order that is looked at next.
  { endpoint: 'authorization', request: 2, next: 'order', there: CHALLENGE },
  {
    endpoint: 'order',
    notReady: true,
    there: staged('privkey.secp256r1.pem'),
    missing: staged('pubcert.secp256r1.pem'),
  },
  { endpoint: 'finalize', there: staged('privkey.secp256r1.pem'), missing: staged('pubcert.secp256r1.pem') },
  { endpoint: 'certificate', there: staged('order.json'), missing: staged('pubcert.secp256r1.pem') },
];

interface Rig extends AsyncDisposable {
  readonly one: TestServer;
  readonly ca: HostileCa;
  readonly http: number;
  readonly https: number;
}

/** A CA, and a server with a managed domain of it that is not started yet. */
async function rig(): Promise<Rig> {
  const [http = 0, https = 0] = await freePorts(2);
  const ca = await startHostileCa();
  const one = new TestServer();
  one.write('htdocs/index.html', 'hello');
  const domain = managed({ http, https }, ca.directoryUrl, [NAME]);
  one.configure(server({ http, https }, 'Workers 1', 'MDCAChallenges http-01', domain));
  const dispose = async () => {
    await one[Symbol.asyncDispose]();
    await ca[Symbol.asyncDispose]();
  };
  return { one, ca, http, https, [Symbol.asyncDispose]: dispose };
}

function inStore({ one }: Rig, path: string): boolean {
  return existsSync(join(one.dir, 'md', path));
}

/** Requests of an endpoint that the CA has seen. */
function requests({ ca }: Rig, endpoint: Endpoint): number {
  return ca.seen.filter((seen) => seen.endpoint === endpoint).length;
}

async function asked(r: Rig, endpoint: Endpoint, count: number): Promise<void> {
  await eventually(`request ${count} of ${endpoint}`, () => requests(r, endpoint) >= count);
}

async function killEngine({ one }: Rig): Promise<void> {
  const [engine = 0] = one.children().engine;
  signal(engine, 'SIGKILL');
  await eventually('the engine to be gone', () => !one.processes().includes(engine));
}

/** Kills the supervisor; its children end by themselves, and what it leaves behind is in nobody's way. */
async function killSupervisor({ one }: Rig): Promise<void> {
  signal(one.pid, 'SIGKILL');
  await eventually('all processes to end with the supervisor', () => one.processes().length === 0);
  assert.ok(existsSync(join(one.dir, 'logs/httpd.pid')));
}

/** Waits for a certificate in use that is not `before`; gives its serial. */
async function served(r: Rig, before?: string): Promise<string> {
  const { one, https } = r;
  const serial = await eventually(`a certificate of ${NAME}`, async () => {
    const [domain] = (await one.status()).domains;
    const [certificate] = domain?.certificates ?? [];
    return certificate?.serial !== before && !inStore(r, staged('')) && certificate?.serial;
  });
  // An engine that has just begun fills the table of what is served while it looks at the store.
  const answer = await eventually('it in a handshake', async () => {
    const got = await getSecure(https, NAME);
    return got.serial === serial && got;
  });
  assert.deepEqual([answer.status, answer.body], [200, 'hello']);
  return serial;
}

/** Workers answer the CA while there is no engine. */
async function assertChallenge({ http }: Rig): Promise<void> {
  const answer = await getPlain(http, NAME, '/.well-known/acme-challenge/token-0-0-http-01');
  assert.match(answer.body, /^token-0-0-http-01\.[\w-]+$/);
}

/** What every order comes to, wherever it was interrupted. */
function assertNothingLost(r: Rig): void {
  const folder = (name: string) => readdirSync(join(r.one.dir, 'md', name));
  assert.deepEqual([folder('staging'), folder('challenges')], [[], []]);
  assert.deepEqual(folder('accounts').length, 1);
  const keys = new Set(r.ca.seen.map(({ protected: { jwk } }) => JSON.stringify(jwk)));
  keys.delete(JSON.stringify(undefined));
  assert.equal(keys.size, 1, 'one account key was shown to the CA');
  assert.deepEqual(readdirSync(join(r.one.dir, 'md/domains', NAME)).sort(), [
    'job.json',
    'md.json',
    'privkey.secp256r1.pem',
    'pubcert.secp256r1.pem',
  ]);
}

suite('an order goes on after kill -9 of the engine, and of the supervisor,', { concurrency: 3 }, () => {
  for (const step of STEPS) {
    const { endpoint, request = 1, next = endpoint, there, missing } = step;
    test(`when the CA is asked for ${endpoint}${request > 1 ? ' again' : ''}`, async () => {
      await using r = await rig();
      if (step.notReady) r.ca.next('finalize', reply.problem('orderNotReady', 403));
      r.ca.next(endpoint, ...Array.from({ length: request - 1 }, () => reply.honest), reply.silence);
      await r.one.start();
      await asked(r, endpoint, request);
      assert.ok(inStore(r, there), `${there} is there`);
      assert.ok(missing === undefined || !inStore(r, missing), `${missing} is not there yet`);

      const before = requests(r, next);
      // An order whose answer is lost can't be found again: no CA tells what orders it has.
      r.ca.next(next, next === 'newOrder' ? reply.silence : reply.lost);
      await killEngine(r);
      if (there === CHALLENGE) await assertChallenge(r);
      await asked(r, next, before + 1);
      await killSupervisor(r);

      await r.one.start();
      await served(r);
      assertNothingLost(r);
      const orders = requests(r, 'newOrder') - (endpoint === 'newOrder' ? 2 : 0);
      assert.equal(orders, 1, 'one order was made');
    });
  }
});

suite('a certificate that is staged is put to use without another order', { concurrency: 2 }, () => {
  test('after kill -9 of the engine, and of the supervisor', async () => {
    await using r = await rig();
    await r.one.start();
    const first = await served(r);

    // The CA waits until the supervisor stands still, which else would activate what the engine has got.
    const release = r.ca.hold('certificate');
    const renewal = r.one.run('renew', NAME);
    await asked(r, 'certificate', 2);
    signal(r.one.pid, 'SIGSTOP');
    release();
    await eventually('a staged certificate', () => finished(r));
    await killEngine(r);
    signal(r.one.pid, 'SIGCONT');
    assert.match((await renewal).stderr, /the server ended before the renewal did/);
    const second = await served(r, first);
    assertNothingLost(r);
    assert.equal(requests(r, 'newOrder'), 2);

    const releaseAgain = r.ca.hold('certificate');
    const again = r.one.run('renew', NAME);
    await asked(r, 'certificate', 3);
    signal(r.one.pid, 'SIGSTOP');
    releaseAgain();
    await eventually('a staged certificate', () => finished(r));
    await killSupervisor(r);
    assert.equal((await again).code, 1);
    await r.one.start();
    await served(r, second);
    assertNothingLost(r);
    assert.equal(requests(r, 'newOrder'), 3);
  });

  test('after kill -9 of the engine while the workers are asked what they show', async () => {
    await using r = await rig();
    await r.one.start();
    const first = await served(r);
    const [worker = 0] = r.one.children().workers;
    const domain = join('domains', NAME, 'pubcert.secp256r1.pem');
    const before = r.one.read(join('md', domain));
    const release = r.ca.hold('certificate');
    const renewal = r.one.run('renew', NAME);
    await asked(r, 'certificate', 2);
    signal(worker, 'SIGSTOP');
    release();
    await eventually('its activation', () => r.one.read(join('md', domain)) !== before);
    await killEngine(r);
    signal(worker, 'SIGCONT');
    await renewal;
    await served(r, first);
    assertNothingLost(r);
    assert.deepEqual(r.one.children().workers, [worker]);
    assert.equal(requests(r, 'newOrder'), 2);
  });
});

/** Everything is obtained, and the engine has asked for its activation. */
function finished(r: Rig): boolean {
  const job = staged('job.json');
  return inStore(r, job) && /"finished":\s*true/.test(r.one.read(join('md', job)));
}
