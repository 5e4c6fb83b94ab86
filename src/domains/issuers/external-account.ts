/** External account binding (RFC 8555 section 7.3.4): what keeps a domain from an account at its CA. */
import { AcmeError } from '../../acme/errors.ts';
import { type Problem, RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';

/** A key that is none; the key itself is not shown. */
export function bindingProblem({ externalAccount }: ManagedDomainSettings): Problem | undefined {
  if (!externalAccount || /^[\w+/-]+=*$/.test(externalAccount.hmac)) return undefined;
  return {
    // mod_md's type, which scripts look for.
    type: 'apache:eab-hmac-invalid',
    detail:
      'The second argument of MDExternalAccountBinding, the HMAC key, is not base64url: copy it once more, whole, ' +
      'from where the CA shows it.',
  };
}

const REQUIRED = 'urn:ietf:params:acme:error:externalAccountRequired';

/** Whether the CA, whose directory did not say so, has registered nothing for want of an external account. */
export function isBindingRequired(error: unknown): boolean {
  return error instanceof AcmeError && error.problem?.type === REQUIRED;
}

/** With the type that the CA itself answers with, whoever finds it out. */
export function mustBind(authority: string, options?: ErrorOptions): RenewalError {
  const problem: Problem = {
    type: REQUIRED,
    detail:
      `The CA at ${authority} registers accounts only with an external account binding, and none is configured. ` +
      'Get a key ID and an HMAC key from the CA, and configure them by "MDExternalAccountBinding KEY-ID HMAC" (or ' +
      'the name of a JSON file that holds them).',
  };
  return new RenewalError(problem, options);
}
