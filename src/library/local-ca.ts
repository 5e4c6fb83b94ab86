/** The built-in CA of a program. */
import type { Loggers } from '../base/log.ts';
import type { LocalCa } from '../ca/server.ts';
import type { Resolved } from './options.ts';

const DEFAULT_LIFETIME = 7 * 86_400_000;

/** Loaded only where it is asked for. Rejects with CaError. */
export async function openLocalCa(
  { localCaDir: dir, options, ports, clock }: Resolved,
  loggers: Loggers,
): Promise<LocalCa | undefined> {
  if (dir === undefined) return undefined;
  const { startLocalCa } = await import('../ca/server.ts');
  const { port = 0, lifetime = DEFAULT_LIFETIME } = options.localCa ?? {};
  return startLocalCa(
    {
      address: '127.0.0.1',
      port,
      dir,
      lifetime,
      httpPort: ports.http ?? 80,
      tlsPort: ports.https,
      resolver: undefined,
      externalAccountRequired: false,
    },
    { clock, loggers },
  );
}
