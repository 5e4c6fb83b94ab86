/** Certificates by name in the engine. Loaded only where a host uses a store, or has names ordered. */
import { readFileSync } from 'node:fs';
import { systemClock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Loggers } from '../../base/log.ts';
import type { CertificateSource } from '../../certificates/source.ts';
import { DynamicCertificates } from '../../certificates/sources/dynamic.ts';
import { HttpStore } from '../../certificates/sources/http-store.ts';
import type { DynamicSettings, SourceSettings } from '../../certificates/sources/settings.ts';
import type { CertificateTable } from '../../certificates/table.ts';
import { Snapshots } from './snapshots.ts';

export function openDynamic(
  settings: DynamicSettings,
  table: CertificateTable,
  loggers: Loggers,
  onDemand: (id: string) => CertificateSource,
): DynamicCertificates {
  const logger = loggers('dynssl');
  const open = (store: SourceSettings): CertificateSource => {
    if (!('urls' in store)) return onDemand(store.id);
    try {
      const ca = store.caFile === undefined ? undefined : readFileSync(store.caFile, 'utf8');
      return new HttpStore({ settings: store, ca, clock: systemClock, logger });
    } catch (error) {
      const problem = `the certificate store ${store.urls[0]?.display}: DynSSLStoreCAFile can't be read: ${explain(error)}`;
      logger.error(problem);
      return unusable(problem);
    }
  };
  return new DynamicCertificates({ table, clock: systemClock, logger, settings, open });
}

/** Undefined where nothing is to be kept on disk. */
export function openSnapshots(
  { snapshotFile: file }: DynamicSettings,
  secret: Uint8Array,
  dynamic: DynamicCertificates,
  loggers: Loggers,
): Promise<Snapshots> | undefined {
  if (file === undefined) return undefined;
  return Snapshots.open({ file, secret, dynamic, clock: systemClock, logger: loggers('dynssl') });
}

/** Of a store that nothing can be asked of until its configuration is right: the fallback is served. */
function unusable(problem: string): CertificateSource {
  return {
    find: async () => ({ kind: 'failed', problem }),
    status: () => [],
    async [Symbol.asyncDispose]() {},
  };
}
