import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silent } from '../../base/log.ts';
import { createCredential } from '../../certificates/credential.ts';
import { MemoryTable } from '../../certificates/memory-table.ts';
import type { CertificateTable } from '../../certificates/table.ts';
import { loadConfiguration } from '../../config/load.ts';
import { HostileResponder, reply } from '../../ocsp/hostile-responder.testing.ts';
import { type Issued, OcspTestCa } from '../../pki/ocsp.testing.ts';
import { MemoryStore } from '../../store/memory.ts';
import { stapledTable } from './stapled-table.ts';
import { Staples } from './staples.ts';

const ca = await OcspTestCa.create(Date.now());
const policy = { domain: undefined, responderUrl: undefined, timeout: 10_000 };

function staples(t: TestContext, table: CertificateTable): Staples {
  const serverRoot = mkdtempSync(join(tmpdir(), 'latchkey-staples-'));
  t.after(() => rmSync(serverRoot, { recursive: true, force: true }));
  writeFileSync(join(serverRoot, 'httpd.conf'), 'Listen 443\n');
  const source = { serverRoot, file: 'httpd.conf', defines: [], before: [], after: [] };
  const { settings } = loadConfiguration(source);
  const base = { ...settings.base, stapling: policy, dynamicStore: 'store' };
  const plan = { generation: 1, settings: { ...settings, base }, setIds: ['file:a'] };
  const bare = { clientCas: {}, backendPems: {}, ticketKeyFiles: {} };
  return new Staples({
    plan: { ...plan, ...bare },
    store: new MemoryStore(),
    table,
    loggers: silent,
    onRevoked: () => {},
    added: (id) => (id === 'md:added' ? { ...policy, domain: 'added' } : undefined),
  });
}

const found = ({ chainPem, keyPem }: Issued) => [
  { certificate: createCredential({ chain: chainPem, key: keyPem }), chainPem },
];

/** Until `done` holds; what it waits for comes over a socket. */
async function until(done: () => boolean): Promise<void> {
  for (let turns = 0; !done(); turns += 1) {
    if (turns > 30_000) throw new Error(`this never came to be: ${done.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

suite('the staples of the certificate table', () => {
  test('come into a set that is there, and go along with one that is dressed later', async (t) => {
    await using responder = await HostileResponder.start(ca, systemClock);
    const issued = await ca.issue({ ocsp: responder.url });
    const table = new MemoryTable();
    await using engine = staples(t, table);
    const certificates = await engine.dress('file:a', found(issued));
    table.put('file:a', { fallback: false, certificates });
    assert.equal(certificates[0]?.staple, undefined);
    engine.start();
    await until(() => table.get('file:a')?.certificates[0]?.staple !== undefined);
    const [again] = await engine.dress('file:a', found(issued));
    assert.ok(again?.staple);
  });

  test('come to a domain that was added, until it is removed', async (t) => {
    await using responder = await HostileResponder.start(ca, systemClock);
    const issued = await ca.issue({ ocsp: responder.url });
    const table = new MemoryTable();
    await using engine = staples(t, table);
    const certificates = await engine.dress('md:added', found(issued));
    table.put('md:added', { fallback: false, certificates });
    engine.start();
    await until(() => table.get('md:added')?.certificates[0]?.staple !== undefined);
    assert.equal(engine.status()[0]?.domain, 'added');
    stapledTable(table, () => engine).remove('md:added');
    assert.deepEqual(engine.status(), []);
  });

  test('are waited for by what demands them, and by nothing else', async (t) => {
    await using responder = await HostileResponder.start(ca, systemClock);
    const ocsp = responder.url;
    const demanding = await ca.issue({ ocsp, mustStaple: true });
    const failing = await ca.issue({ ocsp, mustStaple: true });
    const elsewhere = await ca.issue({ mustStaple: true });
    const modest = await ca.issue({ ocsp });
    await using engine = staples(t, new MemoryTable());
    engine.start();
    const answer = Promise.withResolvers<void>();
    responder.always = async (response, seen) => {
      await answer.promise;
      await responder.saying({})(response, seen);
    };
    await engine.fetchAhead('file:a', [modest.chainPem]);
    let done = false;
    const ahead = engine.fetchAhead('file:a', [demanding.chainPem]).then(() => (done = true));
    const serialOf = ({ certificate: { serial } }: Issued) => serial;
    await until(() => responder.seen.some(({ serial }) => serial === serialOf(demanding)));
    assert.equal(done, false);
    answer.resolve();
    await ahead;
    const [dressed] = await engine.dress('file:a', found(demanding));
    assert.ok(dressed?.staple);
    responder.always = reply.refusal('unauthorized');
    await engine.fetchAhead('file:a', [failing.chainPem]);
    await engine.fetchAhead('file:a', [elsewhere.chainPem]);
    await engine.dress('file:a', found(modest));
    assert.deepEqual(
      engine.status().map(({ serial }) => serial),
      [modest.certificate.serial],
    );
  });

  test('have a set that the table has no room for any more handed out with them', async (t) => {
    await using responder = await HostileResponder.start(ca, systemClock);
    const issued = await ca.issue({ ocsp: responder.url });
    const table = new MemoryTable();
    const certificates = found(issued).map(({ certificate }) => certificate);
    table.put('file:a', { fallback: false, certificates });
    const full = new Proxy<CertificateTable>(table, {
      get: (target, name) => (name === 'put' ? () => 'full' : Reflect.get(target, name, target).bind(target)),
    });
    await using engine = staples(t, full);
    await engine.dress('file:a', found(issued));
    engine.start();
    await until(() => table.get('file:a') === undefined);
    const [handedOut] = await engine.dress('file:a', found(issued));
    assert.ok(handedOut?.staple);
  });

  test('come to what is found by name, at once if they are there, and go with it', async (t) => {
    await using responder = await HostileResponder.start(ca, systemClock);
    const issued = await ca.issue({ ocsp: responder.url });
    const [certificate] = found(issued).map((one) => ({ ...one.certificate, chainPem: issued.chainPem }));
    assert.ok(certificate);
    const table = new MemoryTable();
    await using engine = staples(t, table);
    const names = stapledTable(table, () => engine);
    const stapleOf = (id: string) => table.get(id)?.certificates[0]?.staple;
    // One that an engine before this one has left.
    table.put('dyn:store:old', { fallback: false, certificates: [certificate] });
    table.put('dyn:elsewhere:a', { fallback: false, certificates: [certificate] });
    engine.start();
    await until(() => stapleOf('dyn:store:old') !== undefined);
    names.put('dyn:store:a', { fallback: false, certificates: [certificate] });
    assert.ok(stapleOf('dyn:store:a'));
    assert.equal(names.put('dyn:store:a', { fallback: false, certificates: [certificate] }), 'unchanged');
    assert.equal(stapleOf('dyn:elsewhere:a'), undefined);
    names.remove('dyn:store:a');
    names.remove('dyn:store:old');
    assert.deepEqual(engine.status(), []);
  });
});
