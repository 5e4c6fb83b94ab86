import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { suite, test } from 'node:test';
import { pemBlocks } from '../pki/pem.ts';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import { createCredential } from './credential.ts';
import { createAuthority } from './credentials.testing.ts';

suite('A credential', async () => {
  const authority = await createAuthority();
  const [ec, rsa] = await Promise.all([
    authority.issue(['a.example.org']),
    authority.issue(['a.example.org'], 'rsa'),
  ]);

  test('says what a table wants to know of it', () => {
    const leaf = new X509Certificate(ec.chainPem);
    assert.equal(ec.keyType, 'ec');
    assert.equal(rsa.keyType, 'rsa');
    assert.equal(ec.serial, leaf.serialNumber);
    assert.equal(ec.notBefore, Date.parse(leaf.validFrom));
    assert.equal(ec.notAfter, Date.parse(leaf.validTo));
  });

  test('leaves the root out, and text between the blocks', () => {
    const chain = `Subject: somebody\n${ec.chainPem}\nand the root:\n${authority.rootPem}`;
    const credential = createCredential({ chain, key: ec.keyPem });
    assert.equal(credential.chainPem, ec.chainPem);
    assert.equal(pemBlocks(credential.chainPem).length, 2);
  });

  test('keeps a leaf that is its own root', async () => {
    const { certPem, keyPem } = await createFallbackCertificate({ names: ['a.example'], now: 0 });
    assert.equal(createCredential({ chain: certPem, key: keyPem }).chainPem, certPem);
  });

  test('takes a key in SEC1 and writes it in PKCS#8', () => {
    const sec1 = createPrivateKey(ec.keyPem).export({ type: 'sec1', format: 'pem' }).toString();
    assert.equal(createCredential({ chain: ec.chainPem, key: sec1 }).keyPem, ec.keyPem);
  });

  test('with another key is refused by name', () => {
    assert.throws(() => createCredential({ chain: ec.chainPem, key: rsa.keyPem }), {
      code: 'credential-mismatch',
    });
  });

  test('that cannot be read is refused by name, and the key is not quoted', () => {
    assert.throws(() => createCredential({ chain: 'nothing', key: ec.keyPem }), {
      code: 'certificate-unreadable',
    });
    const broken = ec.keyPem.replace(/^M.{20}/m, 'SECRETSECRET');
    assert.throws(
      () => createCredential({ chain: ec.chainPem, key: broken }),
      (error: Error & { code: string }) =>
        error.code === 'key-unreadable' && !error.message.includes('SECRET'),
    );
  });
});
