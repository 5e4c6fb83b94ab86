/** Which domains a script or the command line asks for, of a URL's query. */
import * as v from 'valibot';
import { LatchkeyError } from '../base/errors.ts';
import { shows, sortKeys, type StatusQuery } from './document.ts';

export class QueryError extends LatchkeyError<'status-query'> {}

const Count = v.pipe(v.string(), v.regex(/^\d{1,9}$/, 'must be a number'), v.transform(Number));
const Name = v.pipe(v.string(), v.maxLength(253));
const Query = v.strictObject({
  name: v.optional(Name),
  search: v.optional(Name),
  show: v.optional(v.picklist(shows, `must be one of ${shows.join(', ')}`)),
  sort: v.optional(v.picklist(sortKeys, `must be one of ${sortKeys.join(', ')}`)),
  offset: v.optional(Count),
  limit: v.optional(Count),
});

/** Undefined for an empty query, which asks for everything. Throws QueryError. */
export function readStatusQuery(text: string): StatusQuery | undefined {
  if (text === '') return undefined;
  const result = v.safeParse(Query, Object.fromEntries(new URLSearchParams(text)));
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new QueryError('status-query', `${v.getDotPath(issue) ?? 'query'}: ${issue.message}`);
}

export function writeStatusQuery(query: StatusQuery): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) params.set(name, String(value));
  }
  return params.toString();
}
