/** From an HTTP answer to a document, or to the AcmeError it is. */
import * as v from 'valibot';
import { problem as problemSchema, type AcmeProblem } from './documents.ts';
import { AcmeError } from './errors.ts';
import { parseRetryAfter } from '../base/retry-after.ts';
import type { Answer } from './transport.ts';

const RATE_LIMITED = 'urn:ietf:params:acme:error:rateLimited';
export const BAD_NONCE = 'urn:ietf:params:acme:error:badNonce';

/**
 * Reads a document of a successful answer. The text decides whether it is JSON, and its type only what is said when
 * it isn't: more than one CA has been wrong about that header.
 * @throws AcmeError `acme-invalid-response`
 */
export function parseDocument<Schema extends v.GenericSchema>(
  answer: Answer,
  schema: Schema,
  what: string,
): v.InferOutput<Schema> {
  const json = parseJson(answer.body);
  if (json === undefined) throw invalidAnswer(answer, `with ${instead(answer)} instead of JSON`);
  const result = v.safeParse(schema, json, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  throw invalidAnswer(answer, `with ${what} that is none (${path ? `${path}: ` : ''}${issue.message})`);
}

/** The error that an answer with a status of 400 or more is. */
export function refusal(answer: Answer, now: number): AcmeError {
  const { status: httpStatus, url } = answer;
  const retryAfter = parseRetryAfter(answer.header('retry-after'), now);
  const problem = problemOf(answer);
  const limited =
    problem?.type === RATE_LIMITED || httpStatus === 429 || (httpStatus === 503 && retryAfter !== undefined);
  const options = { problem, retryAfter, httpStatus };
  if (problem) {
    const message = `The CA at ${url} refused: ${describeProblem(problem)}`;
    return new AcmeError(limited ? 'acme-rate-limited' : 'acme-problem', message, options);
  }
  if (limited) {
    return new AcmeError(
      'acme-rate-limited',
      `The CA at ${url} wants fewer requests (status ${httpStatus})`,
      options,
    );
  }
  if (httpStatus >= 500) {
    return new AcmeError(
      'acme-unavailable',
      `The CA at ${url} has an internal error (status ${httpStatus})`,
      options,
    );
  }
  return invalidAnswer(answer, `with ${instead(answer)} instead of a reason`);
}

/** `detail (type); NAME: detail (type)`: a problem and its subproblems in one line. */
function describeProblem(problem: AcmeProblem): string {
  const parts = problem.subproblems.map(
    (sub) => `${sub.identifier ? `${sub.identifier.value}: ` : ''}${sub.detail || sub.type} (${sub.type})`,
  );
  return [`${problem.detail || problem.title || 'no reason given'} (${problem.type})`, ...parts].join('; ');
}

export function invalidAnswer(answer: Answer, how: string, options?: ErrorOptions): AcmeError {
  const asked = answer.method === 'GET' ? ': is this the URL of an ACME directory?' : '';
  const message = `The CA at ${answer.url} answered ${how} (status ${answer.status})${asked}`;
  return new AcmeError('acme-invalid-response', message, { ...options, httpStatus: answer.status });
}

/** A problem has a type or a detail; other JSON (a gateway's) is none. */
function problemOf(answer: Answer): AcmeProblem | undefined {
  const json = parseJson(answer.body);
  if (typeof json !== 'object' || json === null || !('type' in json || 'detail' in json)) return undefined;
  const result = v.safeParse(problemSchema, json);
  return result.success ? result.output : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function instead(answer: Answer): string {
  const type = answer.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  if (answer.body === '') return 'an empty page';
  if (type === 'text/html' || /^\s*<(?:!doctype )?html/i.test(answer.body)) return 'an HTML page';
  return type?.includes('json') ? 'damaged JSON' : `something of type ${type ?? 'unknown'}`;
}
