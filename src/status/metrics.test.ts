import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { publish } from '../base/events.ts';
import { Metrics } from './metrics.ts';
import { certificate, DAY, domain, NOW } from './status.testing.ts';

const NO_STAPLES = { total: 0, ok: 0, due: 0, errored: 0, oldest: 0 };

function metrics(t: TestContext): Metrics {
  const made = new Metrics('1.2.3');
  t.after(() => made[Symbol.dispose]());
  return made;
}

const failed = (type: string) =>
  publish('latchkey:renewal:failed', { domain: 'a', problem: { type, detail: '' }, errors: 1, nextRun: NOW });

test('domains are counted by state and by the days they have left', async (t) => {
  const soon = domain({ certificates: [certificate({ notAfter: NOW + 5 * DAY })], reasons: ['due'] });
  const text = await metrics(t).text(
    [
      domain({ hold: { until: NOW + DAY, reason: 'x' } }),
      soon,
      domain({ certificates: [], state: 'incomplete' }),
    ],
    NO_STAPLES,
    NOW,
  );
  assert.match(text, /^latchkey_info\{version="1\.2\.3"\} 1$/m);
  assert.match(text, /^latchkey_domains\{state="total"\} 3$/m);
  assert.match(text, /^latchkey_domains\{state="complete"\} 2$/m);
  assert.match(text, /^latchkey_domains\{state="due"\} 1$/m);
  assert.match(text, /^latchkey_domains\{state="waiting"\} 1$/m);
  assert.match(text, /^latchkey_domains_expiring_days\{le="3"\} 0$/m);
  assert.match(text, /^latchkey_domains_expiring_days\{le="7"\} 1$/m);
  assert.match(text, /^latchkey_domains_expiring_days\{le="\+Inf"\} 2$/m);
});

test('however many domains fail, a hundred have series of their own: those that expire first', async (t) => {
  const made = metrics(t);
  const failing = Array.from({ length: 1000 }, (_, index) =>
    domain({
      name: `d${index}.test`,
      errors: 2,
      problem: { type: 'x', detail: '' },
      certificates: [certificate({ notAfter: NOW + (1000 - index) * DAY })],
    }),
  );
  const text = await made.text(failing, NO_STAPLES, NOW);
  assert.equal(text.match(/^latchkey_domain_renewal_failures\{/gm)?.length, 100);
  assert.match(text, /^latchkey_domain_renewal_failures\{domain="d999\.test"\} 2$/m);
  assert.doesNotMatch(text, /"d899\.test"/);
  assert.doesNotMatch(await made.text([domain()], NO_STAPLES, NOW), /domain="/, 'who has recovered is gone');
});

test('problems are counted by type, of which a CA cannot make too many', async (t) => {
  const made = metrics(t);
  failed('urn:ietf:params:acme:error:dns');
  failed('urn:org:apache:httpd:log:AH10108:');
  for (let index = 0; index < 200; index++) failed(`urn:x:made-up-${index}`);
  const text = await made.text([], NO_STAPLES, NOW);
  assert.match(text, /^latchkey_renewals_failed_total\{problem="dns"\} 1$/m);
  assert.match(text, /^latchkey_renewals_failed_total\{problem="AH10108"\} 1$/m);
  assert.match(text, /^latchkey_renewals_failed_total\{problem="other"\} 152$/m);
});

test('stapling is counted, and how old and how often in vain', async (t) => {
  const made = metrics(t);
  const problem = { type: 'responder-timeout', detail: '' };
  publish('latchkey:ocsp:renewed', { domain: 'a', id: '1', status: 'good', validUntil: NOW });
  publish('latchkey:ocsp:errored', { domain: 'a', id: '1', problem, errors: 1, nextRun: NOW });
  publish('latchkey:ocsp:errored', { domain: 'a', id: '1', problem, errors: 2, nextRun: NOW });
  const counts = { total: 3, ok: 2, due: 0, errored: 1, oldest: 90_000 };
  const text = await made.text([], counts, NOW);
  assert.match(text, /^latchkey_staples\{state="total"\} 3$/m);
  assert.match(text, /^latchkey_staples\{state="ok"\} 2$/m);
  assert.match(text, /^latchkey_staples\{state="errored"\} 1$/m);
  assert.match(text, /^latchkey_staple_age_seconds 90$/m);
  assert.match(text, /^latchkey_ocsp_renewed_total 1$/m);
  assert.match(text, /^latchkey_ocsp_errored_total 2$/m);
});

test('workers say how much they have to do, and whom they turned away; one that is gone is not told of', async (t) => {
  const made = metrics(t);
  const load = {
    connections: 7,
    handshakes: 2,
    refused: { overload: 3, connections: 0, handshakes: 1 },
    lastRefused: 1,
  };
  made.noteWorkers([
    { id: 1, pid: 11, load },
    { id: 2, pid: 12 },
  ]);
  const text = await made.text([], NO_STAPLES, NOW);
  assert.match(text, /^latchkey_connections\{worker="1"\} 7$/m);
  assert.match(text, /^latchkey_handshakes\{worker="1"\} 2$/m);
  assert.match(text, /^latchkey_connections_refused_total\{worker="1",reason="overload"\} 3$/m);
  assert.doesNotMatch(text, /worker="2"/);
  made.noteWorkers([{ id: 3, pid: 13, load }]);
  assert.doesNotMatch(await made.text([], NO_STAPLES, NOW), /worker="1"/);
});
