/** What a CA's refusal is about: everything it is asked for, one account, or certain names only. */
import {
  accountKey,
  type BudgetRequest,
  caKey,
  domainKey,
  failuresKey,
  registeredDomains,
  setKey,
} from './budget-limits.ts';
import type { Problem } from '../issuer.ts';

/** When a refusal for a limit says to come back (ms since the epoch); undefined where it is none, or doesn't say. */
export function comeBackAt({ type, status, detail, retryAfter }: Problem, now: number): number | undefined {
  const limited = /[:-](?:rateLimited|rate-limited)$/.test(type) || status === 429 || status === 503;
  if (!limited) return undefined;
  if (retryAfter !== undefined) return now + retryAfter;
  // Let's Encrypt says it in words, too.
  const said = /retry after (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/i.exec(detail);
  return said ? Date.parse(`${said[1]}T${said[2]}Z`) : undefined;
}

/**
 * The buckets that a refusal is about. What names one of the certificate's names, or the domain that it was
 * registered under, holds nobody but those; 503 is the whole CA's, whoever asks; anything else is the account's.
 */
export function scopeOf(
  request: BudgetRequest,
  { type, status, detail, subproblems = [] }: Problem,
): string[] {
  const { authority, names } = request;
  if (/exact set of (?:domains|identifiers)/i.test(detail)) return [setKey(request)];
  const about = new Set(subproblems.map(({ identifier }) => identifier));
  const named = names.filter((name) => about.has(name) || mentions(detail, name));
  const registered = registeredDomains(names).filter((domain) => mentions(detail, domain));
  if (/too many certificates/i.test(detail) && registered.length > 0) {
    return registered.map((domain) => domainKey(authority, domain));
  }
  if (named.length > 0) return named.map((name) => failuresKey(request, name));
  if (registered.length > 0) return registered.map((domain) => domainKey(authority, domain));
  return [status === 503 && !type.endsWith(':rateLimited') ? caKey(authority) : accountKey(request)];
}

/** The names that a failed run could not have validated. */
export function failedNames(problem: Problem): string[] {
  const all = [problem, ...(problem.subproblems ?? [])];
  const failed = all.filter(({ type }) => !type.endsWith(':rateLimited'));
  return [...new Set(failed.flatMap(({ identifier }) => identifier ?? []))];
}

/** As a word of its own: `example.org` is not mentioned by `www.example.org`. */
function mentions(text: string, name: string): boolean {
  const at = text.toLowerCase().split(name.toLowerCase());
  return at
    .slice(1)
    .some((after, index) => !/[\w.-]$/.test(at[index] ?? '') && !/^(?:[\w-]|\.\w)/.test(after));
}
