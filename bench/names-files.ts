/** Names, each with a self-signed P-256 certificate of its own, in files as the servers of bench:names read them. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createFallbackCertificate } from '../src/pki/selfsigned.ts';

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
