/** Names, each with a self-signed P-256 certificate of its own, in files as the servers of bench:names read them. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCredential } from '../src/certificates/credential.ts';
import { writeSnapshot, type SnapshotEntry } from '../src/certificates/sources/snapshot.ts';
import { loadConfiguration } from '../src/config/load.ts';
import { createFallbackCertificate } from '../src/pki/selfsigned.ts';
import { FsStore } from '../src/store/fs/fs-store.ts';

export function nameOf(index: number): string {
  return `customer-${index}.example.org`;
}

/** `pairs/NAME.crt`, `pairs/NAME.key`, and both in `pems/NAME.pem`; what is there already stays. */
export async function writeNames(dir: string, count: number): Promise<void> {
  for (const folder of ['pairs', 'pems']) mkdirSync(join(dir, folder), { recursive: true });
  for (let index = 0; index < count; index++) await writeName(dir, nameOf(index));
  const { certPem, keyPem } = await createFallbackCertificate({
    names: ['fallback.example'],
    now: Date.now(),
  });
  writeFileSync(join(dir, 'fallback.crt'), certPem);
  writeFileSync(join(dir, 'fallback.key'), keyPem);
}

async function writeName(dir: string, name: string): Promise<void> {
  if (existsSync(join(dir, `pems/${name}.pem`))) return;
  const { certPem, keyPem } = await createFallbackCertificate({ names: [name], now: Date.now() });
  writeFileSync(join(dir, `pairs/${name}.crt`), certPem);
  writeFileSync(join(dir, `pairs/${name}.key`), keyPem);
  writeFileSync(join(dir, `pems/${name}.pem`), certPem + keyPem);
}

/**
 * The snapshot that a server of the configuration in `dir` would have written once it had served all names. Its
 * store in `dir/md` has to be there: it has the key.
 */
export async function writeFullSnapshot(dir: string, count: number): Promise<void> {
  const { settings } = loadConfiguration({
    file: 'latchkey.conf',
    serverRoot: dir,
    defines: [],
    before: [],
    after: [],
  });
  const [store] = settings.dynamic.stores;
  const { key } = await FsStore.attach({ dir: settings.md.storeDir });
  await writeSnapshot(join(dir, 'snapshot'), key.passphrase(), entries(dir, count, store?.id ?? ''));
}

function* entries(dir: string, count: number, store: string): Generator<SnapshotEntry> {
  for (let index = 0; index < count; index++) {
    const asked = nameOf(index);
    const [chain, key] = ['crt', 'key'].map((ending) =>
      readFileSync(join(dir, `pairs/${asked}.${ending}`), 'latin1'),
    );
    const certificates = [createCredential({ chain: chain ?? '', key: key ?? '' })];
    yield { store, asked, names: [asked], certificates };
  }
}
