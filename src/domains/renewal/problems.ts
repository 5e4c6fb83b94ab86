/** From whatever was thrown to the problem that job log, status and events show. */
import type { AcmeProblem } from '../../acme/client.ts';
import { AcmeError } from '../../acme/errors.ts';
import { explain, systemCode } from '../../base/errors.ts';
import { ownProblem, type Problem, RenewalError } from '../issuer.ts';

export function problemOf(error: unknown): Problem {
  if (error instanceof RenewalError) return error.problem;
  if (!(error instanceof AcmeError)) return ownProblem(systemCode(error) ?? 'internal', explain(error));
  const { problem, retryAfter, httpStatus } = error;
  if (!problem) return { ...ownProblem(error.code, explain(error)), retryAfter };
  const known = fromCa(problem);
  return { ...known, status: known.status ?? httpStatus, retryAfter };
}

/** A CA's problem document as ours, subproblems and all. */
export function fromCa(problem: AcmeProblem): Problem {
  return {
    type: problem.type,
    detail: problem.detail || (problem.title ?? problem.type),
    status: problem.status,
    subproblems: problem.subproblems.map(({ type, detail, status, identifier }) => ({
      type,
      detail,
      status,
      identifier: identifier?.value,
    })),
  };
}
