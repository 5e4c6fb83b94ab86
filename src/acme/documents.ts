/**
 * What a CA may say (RFC 8555 section 7.1), as valibot schemas: the network's JSON becomes one of these types or
 * an error. Members we don't know are dropped, except in problems and accounts, which are kept whole.
 */
import * as v from 'valibot';
import { isAllowedUrl } from './urls.ts';

const url = v.pipe(v.string(), v.check(isAllowedUrl, 'is not an https URL'));

/** RFC 3339 to ms since the epoch; what is no date is as good as none, for it is advice only. */
const instant = v.fallback(
  v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => Date.parse(text)),
      v.finite(),
    ),
  ),
  undefined,
);

const text = v.fallback(v.optional(v.string()), undefined);

const identifier = v.object({ type: v.string(), value: v.string() });
export type Identifier = v.InferOutput<typeof identifier>;

const problemMembers = {
  type: v.fallback(v.optional(v.string(), 'about:blank'), 'about:blank'),
  detail: v.fallback(v.optional(v.string(), ''), ''),
  title: text,
  instance: text,
  status: v.fallback(v.optional(v.number()), undefined),
  identifier: v.fallback(v.optional(identifier), undefined),
};

/**
 * A problem document (RFC 7807, RFC 8555 section 6.7). A malformed member is left out and hides no other: a CA's
 * reason counts, not its form.
 */
export const problem = v.looseObject({
  ...problemMembers,
  subproblems: v.fallback(
    v.optional(v.array(v.looseObject(problemMembers)), () => []),
    () => [],
  ),
});

export interface AcmeSubproblem {
  /** `urn:ietf:params:acme:error:…`, or `about:blank`. */
  readonly type: string;
  /** For people; may be empty. */
  readonly detail: string;
  readonly title?: string | undefined;
  readonly instance?: string | undefined;
  readonly status?: number | undefined;
  readonly identifier?: Identifier | undefined;
}

export interface AcmeProblem extends AcmeSubproblem {
  readonly subproblems: readonly AcmeSubproblem[];
  readonly [member: string]: unknown;
}

/** An error inside of an order or a challenge. */
const heldProblem = v.fallback(v.optional(problem), undefined);

/** The directory (section 7.1.1). */
export const directory = v.object({
  newNonce: url,
  newAccount: url,
  newOrder: url,
  revokeCert: v.optional(url),
  keyChange: v.optional(url),
  /** RFC 9773. */
  renewalInfo: v.optional(url),
  meta: v.optional(
    v.object({
      termsOfService: v.optional(v.string()),
      website: v.optional(v.string()),
      caaIdentities: v.optional(v.array(v.string())),
      externalAccountRequired: v.optional(v.boolean()),
      /** Name to description (draft-ietf-acme-profiles). */
      profiles: v.optional(v.record(v.string(), v.string())),
    }),
    {},
  ),
});
export type Directory = v.InferOutput<typeof directory>;

/** An account (section 7.1.2). */
export const account = v.looseObject({
  status: v.picklist(['valid', 'deactivated', 'revoked']),
  contact: v.optional(v.array(v.string()), () => []),
  orders: v.optional(url),
});

/** An order (section 7.1.3). */
export const order = v.object({
  status: v.picklist(['pending', 'ready', 'processing', 'valid', 'invalid']),
  identifiers: v.array(identifier),
  authorizations: v.array(url),
  finalize: url,
  certificate: v.optional(url),
  error: heldProblem,
  expires: instant,
  profile: text,
});

const issuerDomain = v.pipe(v.string(), v.maxLength(253), v.regex(/^[A-Za-z0-9.-]+$/));

/** An authorization with its challenges (sections 7.1.4 and 8). */
export const authorization = v.object({
  status: v.picklist(['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked']),
  identifier,
  wildcard: v.optional(v.boolean()),
  expires: instant,
  challenges: v.array(
    v.object({
      type: v.string(),
      url,
      status: v.picklist(['pending', 'processing', 'valid', 'invalid']),
      /** It becomes part of URLs and file names: nothing but base64url gets through. */
      token: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,512}$/, 'is not base64url'))),
      /** Of dns-persist-01: any one of them may stand in the record. */
      'issuer-domain-names': v.fallback(v.optional(v.array(issuerDomain)), undefined),
      error: heldProblem,
    }),
  ),
});

const instantNeeded = v.pipe(
  v.string(),
  v.transform((at) => Date.parse(at)),
  v.finite(),
);

/** When the CA would like a certificate renewed (RFC 9773 section 4.2). */
export const renewalInfo = v.pipe(
  v.object({
    suggestedWindow: v.pipe(
      v.object({ start: instantNeeded, end: instantNeeded }),
      v.check(({ start, end }) => start < end, 'ends before it begins'),
    ),
    /** For people to follow: why the window is where it is. */
    explanationURL: v.fallback(
      v.optional(v.pipe(v.string(), v.maxLength(2048), v.regex(/^https?:\/\/\S+$/))),
      undefined,
    ),
  }),
  v.transform(({ suggestedWindow: { start, end }, explanationURL }) => ({ start, end, explanationURL })),
);

/** ms since the epoch. */
export type RenewalInfo = Readonly<v.InferOutput<typeof renewalInfo>> & Pick<Located, 'retryAfter'>;

/** What is known of an order besides its document. */
interface Located {
  readonly url: string;
  /** ms that the CA wants us to wait before asking again. */
  readonly retryAfter?: number | undefined;
}

export type Order = Readonly<v.InferOutput<typeof order>> & Located;
export type Authorization = Readonly<v.InferOutput<typeof authorization>> & Located;
export type Challenge = Authorization['challenges'][number];
