/** Longer waits are mistakes, or as good as for ever. */
const LONGEST = 30 * 24 * 60 * 60 * 1000;

/**
 * Retry-After (RFC 9110 section 10.2.3), seconds or an HTTP date, as ms from `now`: 0 to 30 days; undefined where it
 * is neither.
 */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  const text = value?.trim();
  if (!text) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : httpDate(text) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), LONGEST);
}

/** With weekday and zone, as the two forms in use are; Date.parse alone would take nearly anything. */
function httpDate(text: string): number {
  return /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*, .+ GMT$/.test(text) ? Date.parse(text) : Number.NaN;
}
