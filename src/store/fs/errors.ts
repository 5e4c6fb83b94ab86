import { systemCode } from '../../base/errors.ts';
import { StoreError } from '../store.ts';
import type { StoreErrorCode } from '../store.ts';

const codes: Readonly<Record<string, StoreErrorCode>> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  EACCES: 'denied',
  EPERM: 'denied',
  EROFS: 'denied',
};

const remedies: Partial<Record<StoreErrorCode, string>> = {
  full: 'the disk is full; free some space',
  denied: 'permission denied; check owner and mode of the folders, and that the filesystem is writable',
};

/** A system error as StoreError; anything else (an abort's reason, a StoreError) as it is. */
export function storeError(cause: unknown, doing: string): unknown {
  const code = systemCode(cause);
  if (cause instanceof StoreError || code === undefined) return cause;
  const kind = codes[code] ?? 'io';
  const remedy = remedies[kind];
  return new StoreError(kind, remedy ? `can't ${doing}: ${remedy}` : `can't ${doing}`, { cause });
}

/** Why something can't be read. */
export function unreadable(cause: unknown, what: string): unknown {
  if (!(cause instanceof StoreError) && systemCode(cause) === undefined) return cause;
  return new StoreError('unreadable', `can't read ${what}`, { cause });
}
