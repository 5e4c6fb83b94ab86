import { mkdirSync } from 'node:fs';
import { LatchkeyError, explain, systemCode } from '../base/errors.ts';

/** Makes the folder that a directive needs, and those above it. Throws LatchkeyError `folder`, which names the directive. */
export function makeFolder(directive: string, dir: string, mode = 0o777): void {
  try {
    mkdirSync(dir, { recursive: true, mode });
  } catch (error) {
    const reason = reasons[systemCode(error) ?? ''] ?? explain(error);
    throw new LatchkeyError('folder', `${directive}: cannot make the folder ${dir}: ${reason}`);
  }
}

const NO_FOLDER = 'it, or one above it, is there and not a folder; name another place or move that file away';
const NOT_PERMITTED = 'not permitted; make it for the user who starts the server, or name another place';

const reasons: Readonly<Record<string, string>> = {
  EEXIST: NO_FOLDER,
  ENOTDIR: NO_FOLDER,
  EACCES: NOT_PERMITTED,
  EPERM: NOT_PERMITTED,
  EROFS: 'the filesystem is read-only; name another place',
};
