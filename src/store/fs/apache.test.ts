/** Apache with mod_md on the same store: it serves and activates what we wrote, and we read what it wrote. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { createFallbackCertificate } from '../../pki/selfsigned.ts';
import type { SelfSigned } from '../../pki/selfsigned.ts';
import { encodeMd, readMd, writeJob, writeMd } from '../documents.ts';
import type { MdDocument } from '../documents.ts';
import { formatDate } from '../formats.ts';
import { loadPrivateKey, savePrivateKey } from '../keys.ts';
import { FsStore } from './fs-store.ts';
import { temporaryFolder } from './temporary.testing.ts';
import { freePort } from '../../base/ports.testing.ts';

const modules = '/usr/lib/apache2/modules';
const missing = spawnSync('apache2', ['-v']).error
  ? 'apache2 is not installed'
  : !existsSync(join(modules, 'mod_md.so')) && 'mod_md is not installed';

const nobody = { uid: 65_534, gid: 65_534 };
const ca = 'https://127.0.0.1:1/directory';

/** Managed domains: one that we activated, one that we staged, one that Apache meets first. */
const [active, staged, fresh] = ['active.example', 'staged.example', 'fresh.example'] as const;

test('Apache goes on with our store and we with what it left', { skip: missing }, async (t) => {
  const root = await temporaryFolder(t);
  await chmod(root, 0o755);
  const dir = join(root, 'md');
  const store = await FsStore.open({ dir, owner: nobody });
  const certificates = { [active]: await activated(store), [staged]: await stage(store) };

  const port = await freePort();
  const apache = await startApache(root, port);
  try {
    for (const [name, { certPem }] of Object.entries(certificates)) {
      const served = await apache.certificateOf(name);
      assert.equal(served.fingerprint256, new X509Certificate(certPem).fingerprint256, name);
    }
  } finally {
    await apache.stop();
  }

  const next = await FsStore.open({ dir, owner: nobody });
  assert.deepEqual(next.key.passphrase(), store.key.passphrase());
  const key = await loadPrivateKey(next, 'domains', staged, 'privkey.pem');
  assert.ok(key?.equals(createPrivateKey(certificates[staged].keyPem)), 'decrypted from staging by Apache');
  const before = await readFile(join(dir, 'domains', fresh, 'md.json'), 'utf8');
  const document = await readMd(next, 'domains', fresh);
  assert.ok(document);
  assert.deepEqual(document.domains, [fresh]);
  await writeMd(next, 'domains', fresh, document);
  assert.equal(await readFile(join(dir, 'domains', fresh, 'md.json'), 'utf8'), before);
  const fallback = await loadPrivateKey(next, 'domains', fresh, 'fallback-privkey.pem');
  assert.equal(fallback?.asymmetricKeyType, 'rsa');
});

function certificateFor(name: string): Promise<SelfSigned> {
  return createFallbackCertificate({ names: [name], spec: { type: 'RSA', bits: 2048 }, now: Date.now() });
}

function describeDomain(name: string): MdDocument {
  return {
    name,
    domains: [name],
    contacts: ['mailto:admin@latchkey.example'],
    transitive: 1,
    ca: { proto: 'ACME', url: ca, urls: [ca], agreement: 'accepted' },
    state: 2,
    'renew-mode': 1,
    'renew-window': '33%',
    'warn-window': '10%',
    'must-staple': false,
    proto: { 'acme-tls/1': [] },
    stapling: false,
    'profile-mandatory': false,
    'ari-renewals': true,
  };
}

async function activated(store: FsStore): Promise<SelfSigned> {
  const certificate = await certificateFor(active);
  const files = { 'md.json': encodeMd(describeDomain(active)), 'privkey.pem': certificate.keyPem };
  await store.activate(active, new Map([...Object.entries(files), ['pubcert.pem', certificate.certPem]]));
  return certificate;
}

async function stage(store: FsStore): Promise<SelfSigned> {
  const certificate = await certificateFor(staged);
  await writeMd(store, 'staging', staged, describeDomain(staged));
  await savePrivateKey(store, 'staging', staged, 'privkey.pem', certificate.keyPem);
  await store.save('staging', staged, 'pubcert.pem', certificate.certPem);
  const now = formatDate(Date.now());
  await writeJob(store, 'staging', staged, {
    name: staged,
    finished: true,
    notified: true,
    'notified-renewed': true,
    'last-run': now,
    'valid-from': now,
    errors: 0,
    log: { entries: [{ when: now, type: 'finished' }] },
  });
  return certificate;
}

async function startApache(root: string, port: number) {
  await mkdir(join(root, 'logs'));
  await writeFile(join(root, 'httpd.conf'), configuration(port));
  const child = spawn('apache2', ['-d', root, '-f', 'httpd.conf', '-DFOREGROUND'], { stdio: 'ignore' });
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    async certificateOf(name: string): Promise<X509Certificate> {
      for (let attempt = 0; attempt < 600 && child.exitCode === null; attempt += 1) {
        const certificate = await peerCertificate(port, name);
        if (certificate) return certificate;
        await delay(50);
      }
      const log = await readFile(join(root, 'logs/error_log'), 'utf8').catch(() => 'no log');
      throw new Error(`Apache doesn't serve: ${log.slice(-2000)}`);
    },
    async stop(): Promise<void> {
      child.kill('SIGTERM');
      await exit;
    },
  };
}

/** What the server shows for a name, or undefined while it can't be reached. */
function peerCertificate(port: number, servername: string): Promise<X509Certificate | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false });
    socket.once('secureConnect', () => {
      resolve(socket.getPeerX509Certificate());
      socket.destroy();
    });
    socket.once('error', () => resolve(undefined));
  });
}

function configuration(port: number): string {
  const hosts = [active, staged, fresh].map(
    (name) => `
MDomain ${name}
<VirtualHost *:${port}>
ServerName ${name}
SSLEngine on
</VirtualHost>`,
  );
  return `
LoadModule mpm_event_module ${modules}/mod_mpm_event.so
LoadModule authz_core_module ${modules}/mod_authz_core.so
LoadModule ssl_module ${modules}/mod_ssl.so
LoadModule md_module ${modules}/mod_md.so
${process.geteuid?.() === 0 ? `User #${nobody.uid}\nGroup #${nobody.gid}` : ''}
PidFile logs/httpd.pid
ErrorLog logs/error_log
ServerName localhost
Listen 127.0.0.1:${port}
MDPortMap 80:- 443:${port}
MDCertificateAuthority ${ca}
MDCertificateAgreement accepted
MDContactEmail admin@latchkey.example
${hosts.join('\n')}
`;
}
