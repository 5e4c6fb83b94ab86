/** Shapes of everything clients send (RFC 8555) and of what is kept in files. Unknown members are left out. */
import * as v from 'valibot';
import { AcmeProblem } from './problem.ts';

const base64url = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]*$/, 'not base64url without padding'));
const filled = v.pipe(base64url, v.nonEmpty());

export const jws = v.object({
  protected: filled,
  payload: base64url,
  signature: base64url,
  // RFC 8555, 6.2: no unprotected header, one signature.
  header: v.optional(v.never('the unprotected header may not be used')),
  signatures: v.optional(v.never('one signature, in the flattened serialisation')),
});
export type Jws = v.InferOutput<typeof jws>;

/** Public members only: what is kept and compared. A private key sent along is refused. */
export const jwk = v.pipe(
  v.looseObject({ d: v.optional(v.never('a private key: it must be replaced')) }),
  v.variant('kty', [
    v.object({ kty: v.literal('RSA'), n: filled, e: filled }),
    v.object({
      kty: v.literal('EC'),
      crv: v.picklist(['P-256', 'P-384', 'P-521']),
      x: filled,
      y: filled,
    }),
    v.object({ kty: v.literal('OKP'), crv: v.literal('Ed25519'), x: filled }),
  ]),
);
export type Jwk = v.InferOutput<typeof jwk>;

const header = {
  alg: v.string(),
  url: v.string(),
  crit: v.optional(v.never('no critical extensions are known')),
  b64: v.optional(v.never('payloads are base64url')),
};
export const requestHeader = v.object({
  ...header,
  nonce: v.optional(filled),
  jwk: v.optional(jwk),
  kid: v.optional(v.string()),
});
export const innerHeader = v.object({ ...header, nonce: v.optional(v.never('no nonce inside')), jwk });
export const bindingHeader = v.object({
  ...header,
  nonce: v.optional(v.never('no nonce inside')),
  kid: v.string(),
});

const contacts = v.pipe(v.array(v.pipe(v.string(), v.maxLength(500))), v.maxLength(10));
export const newAccount = v.object({
  contact: v.optional(contacts, []),
  termsOfServiceAgreed: v.optional(v.boolean(), false),
  onlyReturnExisting: v.optional(v.boolean(), false),
  externalAccountBinding: v.optional(jws),
});
export const accountUpdate = v.object({
  contact: v.optional(contacts),
  status: v.optional(v.literal('deactivated')),
});
export const keyChange = v.object({ account: v.string(), oldKey: jwk });
export const newOrder = v.object({
  identifiers: v.pipe(
    v.array(v.object({ type: v.string(), value: v.string() })),
    v.nonEmpty(),
    v.maxLength(100),
  ),
  profile: v.optional(v.string(), 'default'),
  replaces: v.optional(v.pipe(v.string(), v.maxLength(200))),
  notBefore: v.optional(v.never('the CA sets the dates')),
  notAfter: v.optional(v.never('the CA sets the dates')),
});
export const authorizationUpdate = v.object({ status: v.literal('deactivated') });
export const challengeResponse = v.object({});
export const finalization = v.object({ csr: filled });
export const revocation = v.object({ certificate: filled, reason: v.optional(v.number(), 0) });

/** JSON text as a document; what is wrong becomes a `malformed` problem that begins with `what`. */
export function readDocument<Schema extends v.GenericSchema>(
  schema: Schema,
  text: string,
  what: string,
): v.InferOutput<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new AcmeProblem('malformed', `${what} is not JSON`);
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  throw new AcmeProblem('malformed', `${what}${path ? `, ${path}` : ''}: ${issue.message.slice(0, 200)}`);
}
