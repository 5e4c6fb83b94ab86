/** What a2md's commands end with: a number like errno, and its words, as scripts around mod_md know them. */
import { CommanderError } from 'commander';
import { AcmeError } from '../../acme/errors.ts';
import { LatchkeyError, systemCode } from '../../base/errors.ts';

const STATUSES = {
  ENOENT: [2, 'No such file or directory'],
  EACCES: [13, 'Permission denied'],
  EEXIST: [17, 'File exists'],
  EINVAL: [22, 'Invalid argument'],
  ENOSPC: [28, 'No space left on device'],
  ECONNRESET: [104, 'Connection reset by peer'],
  ETIMEDOUT: [110, 'Connection timed out'],
  ECONNREFUSED: [111, 'Connection refused'],
  /** apr's, for whatever no errno fits. */
  EGENERAL: [20_014, 'Internal error (specific information not available)'],
  ENOTIMPL: [70_023, 'This function has not been implemented on this platform'],
} as const;

export type FailureCode = keyof typeof STATUSES;

export interface FailureStatus {
  readonly status: number;
  readonly description: string;
}

/** A command that fails for a reason of its own. The message goes to stderr. */
export class Failure extends LatchkeyError<FailureCode> {}

/** The status of anything that was thrown: that of the innermost system error there is. */
export function statusOf(error: unknown): FailureStatus {
  const [status, description] = STATUSES[codeOf(error) ?? 'EGENERAL'];
  return { status, description };
}

function codeOf(error: unknown): FailureCode | undefined {
  if (error instanceof CommanderError) return 'EINVAL';
  let found: FailureCode | undefined;
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = systemCode(at) ?? '';
    if (Object.hasOwn(STATUSES, code)) found = code as FailureCode;
    if (at instanceof AcmeError && at.code === 'acme-timeout') found ??= 'ETIMEDOUT';
  }
  return found;
}
