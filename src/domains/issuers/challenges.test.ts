import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Authorization } from '../../acme/client.ts';
import { settings } from '../domains.testing.ts';
import { challengeChoices, challengeProblem, chooseChallenge } from './challenges.ts';

const closed = { possible: false, reason: 'closed' } as const;
const open = { possible: true } as const;

function authorization(types: readonly string[], more: Partial<Authorization> = {}): Authorization {
  return {
    url: 'https://ca.example/authz/1',
    status: 'pending',
    identifier: { type: 'dns', value: 'a.example' },
    challenges: types.map((type) => ({
      type,
      url: `https://ca.example/${type}`,
      status: 'pending',
      token: 'x',
    })),
    ...more,
  };
}

suite('the choice of a challenge', () => {
  test('prefers tls-alpn-01, then http-01, of what can work and is offered', () => {
    const domain = settings('a.example');
    const both = chooseChallenge(
      challengeChoices(domain),
      authorization(['dns-01', 'http-01', 'tls-alpn-01']),
    );
    assert.ok('type' in both && 'name' in both);
    assert.equal(both.type, 'tls-alpn-01');
    const http = settings('a.example', { reach: { ...domain.reach, tlsAlpn01: closed } });
    assert.deepEqual(challengeChoices(http).types, ['http-01']);
  });

  test('keeps to what is configured, in that order', () => {
    const domain = settings('a.example', { challenges: ['http-01', 'tls-alpn-01', 'carrier-pigeon-01'] });
    assert.deepEqual(challengeChoices(domain), {
      types: ['http-01', 'tls-alpn-01'],
      reasons: ['carrier-pigeon-01: no such challenge type is known'],
    });
  });

  test('takes nothing that it could not set up', () => {
    const domain = settings('a.example', { reach: { http01: closed, tlsAlpn01: closed, dns01: open } });
    assert.deepEqual(challengeChoices(domain).types, []);
  });

  test('knows that DNS proves no address', () => {
    const reach = { ...settings('x').reach, http01: closed, dns01: open };
    const challengeDns01 = { command: ['/bin/true'], version: 1 } as const;
    const over = { domains: ['2001:db8::1', 'a.example'], reach, challengeDns01 };
    assert.equal(challengeProblem(settings('2001:db8::1', over)), undefined);
    const unfit = challengeProblem(settings('2001:db8::1', { ...over, challenges: ['dns-01', 'http-01'] }));
    assert.match(
      unfit?.detail ?? '',
      /suitable\. dns-01: an address can't be proved by DNS \(2001:db8::1\)\. http-01: closed\.$/,
    );
  });

  test('knows that a wildcard is proved by DNS alone, before any CA is asked', () => {
    const domains = ['a.example', '*.a.example'];
    assert.match(
      challengeProblem(settings('a.example', { domains }))?.detail ?? '',
      /suitable\. tls-alpn-01: a wildcard is proved by DNS alone \(\*\.a\.example\)\. http-01: .*no MDChallengeDns01/,
    );
    assert.equal(
      challengeProblem(settings('a.example', { domains, challenges: ['dns-persist-01'] })),
      undefined,
    );
  });

  test('tells what the CA offers where that does not fit', () => {
    const wildcard = authorization(['dns-01'], { wildcard: true });
    const problem = chooseChallenge(challengeChoices(settings('a.example')), wildcard);
    assert.ok('detail' in problem);
    assert.equal(
      problem.detail,
      'None of the ACME challenge methods configured for this domain are suitable. For *.a.example the CA offers ' +
        'dns-01; possible here: tls-alpn-01, http-01. dns-01: no MDChallengeDns01 is configured',
    );
  });
});
