import type { DynamicStoreSettings } from './settings.ts';

/** Settings with the directives' defaults for stores at URLs as DynSSLStoreURL has them. */
export function storeSettings(
  urls: readonly string[],
  changes: Partial<DynamicStoreSettings> = {},
): DynamicStoreSettings {
  return {
    id: 'test',
    urls: urls.map((display) => {
      const [, socketPath, url = display] = /^unix:([^|]+)\|(.*)$/.exec(display) ?? [];
      return { display, url, socketPath };
    }),
    token: undefined,
    verify: true,
    caFile: undefined,
    timeout: 2000,
    maxAnswer: 65_536,
    breakerFailures: 5,
    breakerReset: 30_000,
    cacheFloor: 300_000,
    renewBefore: 7 * 86_400_000,
    ...changes,
  };
}
