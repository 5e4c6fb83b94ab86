/** Problem documents (RFC 7807) as ACME has them (RFC 8555 section 6.7). */
import { LatchkeyError } from '../../base/errors.ts';
import type { Identifier } from '../identifiers.ts';

const PREFIX = 'urn:ietf:params:acme:error:';

/** Types with the status each usually has. */
const statuses = {
  accountDoesNotExist: 400,
  alreadyReplaced: 409,
  alreadyRevoked: 400,
  badCSR: 400,
  badNonce: 400,
  badPublicKey: 400,
  badRevocationReason: 400,
  badSignatureAlgorithm: 400,
  connection: 400,
  dns: 400,
  externalAccountRequired: 403,
  invalidContact: 400,
  invalidProfile: 400,
  malformed: 400,
  orderNotReady: 403,
  rateLimited: 429,
  rejectedIdentifier: 400,
  serverInternal: 500,
  tls: 400,
  unauthorized: 403,
  unsupportedContact: 400,
  userActionRequired: 403,
} as const;
export type ProblemType = keyof typeof statuses;

/** What is sent, and kept with challenges and orders. */
export interface ProblemDocument {
  readonly type: string;
  readonly status?: number | undefined;
  readonly detail: string;
  readonly identifier?: Identifier | undefined;
  readonly subproblems?: readonly ProblemDocument[] | undefined;
}

export interface ProblemOptions {
  readonly status?: number;
  /** Further members of the document (`algorithms`, …). */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly subproblems?: readonly ProblemDocument[];
  readonly cause?: unknown;
}

/** A request that is refused, or a validation that failed: thrown, and told to the client word for word. */
export class AcmeProblem extends LatchkeyError<'ca-problem'> {
  readonly document: ProblemDocument & Readonly<Record<string, unknown>>;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(type: ProblemType, detail: string, options: ProblemOptions = {}) {
    super('ca-problem', detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = options.status ?? statuses[type];
    this.headers = options.headers ?? {};
    this.document = {
      type: PREFIX + type,
      detail,
      status: this.status,
      ...options.members,
      ...(options.subproblems?.length && { subproblems: options.subproblems }),
    };
  }
}

/** The problem of something that went wrong for several identifiers; one alone speaks for itself. */
export function compound(problems: readonly ProblemDocument[]): ProblemDocument | undefined {
  const [first, ...others] = problems;
  if (!first || others.length === 0) return first;
  const one = problems.every(({ type }) => type === first.type);
  return {
    type: one ? first.type : `${PREFIX}compound`,
    status: first.status,
    detail: `${problems.length} identifiers failed`,
    subproblems: problems,
  };
}
