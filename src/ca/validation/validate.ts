import type { Clock } from '../../base/clock.ts';
import { AcmeProblem } from '../acme/problem.ts';
import type { Attempt } from './attempt.ts';
import { validateDns01 } from './dns-01.ts';
import { validateHttp01 } from './http-01.ts';
import { validateTlsAlpn01 } from './tls-alpn-01.ts';

export const challengeTypes = ['http-01', 'tls-alpn-01', 'dns-01'] as const;
export type ChallengeType = (typeof challengeTypes)[number];

const validators = {
  'http-01': validateHttp01,
  'tls-alpn-01': validateTlsAlpn01,
  'dns-01': validateDns01,
} as const;

/** All of one attempt, in ms. */
const TIMEOUT = 15_000;
/** A server that is just being started deserves a second look. */
const RETRY_AFTER = 1000;

/**
 * Validates for real: connects, asks, compares. One retry after a second, unless the answer came and was wrong.
 * Rejects with AcmeProblem, or the signal's reason.
 */
export async function validate(type: ChallengeType, attempt: Attempt, clock: Clock): Promise<void> {
  try {
    await once(type, attempt);
  } catch (error) {
    if (!(error instanceof AcmeProblem) || error.document.type.endsWith(':unauthorized')) throw error;
    await clock.sleep(RETRY_AFTER, { signal: attempt.signal });
    await once(type, attempt);
  }
}

async function once(type: ChallengeType, attempt: Attempt): Promise<void> {
  const timeout = AbortSignal.timeout(TIMEOUT);
  try {
    await validators[type]({ ...attempt, signal: AbortSignal.any([attempt.signal, timeout]) });
  } catch (error) {
    attempt.signal.throwIfAborted();
    if (error instanceof AcmeProblem) throw error;
    const detail = timeout.aborted ? 'timed out' : 'failed';
    throw new AcmeProblem('connection', `${type} for ${attempt.identifier.value} ${detail}`, {
      cause: error,
    });
  }
}
