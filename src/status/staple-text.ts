/** Stapling in plain text, for people. */
import type { StaplingStatus } from '../ocsp/status.ts';
import type { StatusDocument } from './document.ts';
import { date, span } from './words.ts';

/** Certificates in trouble that are told of one by one. */
const MOST_TROUBLES = 20;

/** What `latchkey status` says of all certificates; nothing where none is to be stapled. */
export function staplingLines({ stapling, staplingCounts, now }: StatusDocument): string[] {
  const { total, ok, errored, oldest } = staplingCounts;
  if (total === 0) return [];
  const impossible = stapling.filter((one) => one.impossible !== '').length;
  const facts = [
    `${ok} of ${total} certificates are stapled`,
    ...(ok > 0 ? [`the oldest response is of ${span(oldest)} ago`] : []),
    ...(impossible > 0 ? [`${impossible} can't be`] : []),
    ...(errored > 0 ? [`the last request failed for ${errored}`] : []),
  ];
  const troubled = stapling.filter((one) => one.problem !== undefined || one.warning !== '');
  const left = troubled.length - MOST_TROUBLES;
  return [
    '',
    `OCSP stapling: ${facts.join('; ')}`,
    ...troubled.slice(0, MOST_TROUBLES).flatMap((one) => [`  ${nameOf(one)}:`, ...troubles(one, now)]),
    ...(left > 0 ? [`  and ${left} more (--json)`] : []),
  ];
}

/** What is stapled to a certificate, in a line. */
export function stapleLine(one: StaplingStatus, now: number): string {
  const { impossible, status, valid, stapled, responder, nextRun } = one;
  if (impossible !== '') return `none: ${impossible}`;
  const what =
    stapled && valid ? `good until ${date(valid.until)}` : `none, status ${status ?? 'not known yet'}`;
  const next = nextRun === undefined ? 'being asked' : `asked again in ${span(nextRun - now)}`;
  return `${what}; ${responder}, ${next}`;
}

function troubles(
  { warning, problem, errors, nextRun, stapled, valid }: StaplingStatus,
  now: number,
): string[] {
  const again = nextRun === undefined ? '' : `, next try in ${span(nextRun - now)}`;
  const meanwhile =
    stapled && valid ? `; the response that is there is good for ${span(valid.until - now)}` : '';
  return [
    ...(warning === '' ? [] : [`    ${warning}`]),
    ...(problem === undefined
      ? []
      : [
          `    failed ${errors} ${errors === 1 ? 'time' : 'times'}${again}${meanwhile}:`,
          `      ${problem.detail}`,
          `      (${problem.type})`,
        ]),
  ];
}

function nameOf({ domain, names, serial }: StaplingStatus): string {
  return `${domain === 'other' ? (names[0] ?? domain) : domain} (serial ${serial})`;
}
