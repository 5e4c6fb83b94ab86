import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { createAuthority } from '../certificates/credentials.testing.ts';
import { parseChain } from './certificate.ts';
import { weakLinkOf } from './weak-links.ts';
import { ROOT_BY_SHA1, SIGNED_BY_SHA1, SMALL_RSA } from './weak-links.testing.ts';

suite('A chain', async () => {
  const authority = await createAuthority();
  const { chainPem, keyPem } = await authority.issue(['a.example'], 'rsa');
  const weakness = (...more: string[]) => weakLinkOf(parseChain([chainPem, ...more].join('')));

  test('is weak by a signature with SHA-1 or a short RSA key anywhere in it', () => {
    assert.equal(weakness(SIGNED_BY_SHA1), 'CN=Old is signed by ecdsa-with-SHA1');
    assert.equal(weakness(SMALL_RSA, SIGNED_BY_SHA1), 'CN=Small has an RSA key of 1024 bits');
  });

  test('is not, however its root has signed itself', () => {
    assert.equal(weakness(authority.rootPem), undefined);
    assert.equal(weakness(ROOT_BY_SHA1), undefined);
  });

  test('with a short key is one that OpenSSL refuses', () => {
    const serve = (cert: string) => createSecureContext({ cert, key: keyPem });
    assert.ok(serve(chainPem + ROOT_BY_SHA1));
    assert.throws(() => serve(chainPem + SMALL_RSA), { code: 'ERR_SSL_CA_KEY_TOO_SMALL' });
  });
});
