/** The status document for people, in plain text. */
import { escapeControls } from '../base/log.ts';
import type { Finding } from '../domains/preflight/finding.ts';
import type { Problem } from '../domains/issuer.ts';
import { describeObtaining, isWorthSaying } from '../domains/renewal/obtaining.ts';
import type { StaplingStatus } from '../ocsp/status.ts';
import type { DomainInService, StatusDocument } from './document.ts';
import { stapleLine, staplingLines } from './staple-text.ts';
import { date, lastRunOf, nextOf, onDemandOf, refusedBy, span, stateOf, validUntil } from './words.ts';

/** Domains in trouble that are explained where nobody has asked for these alone. */
const MOST_TROUBLED = 20;

/** All domains as a table, one line each, those in trouble explained below it. `chosen`: part of them was asked for. */
export function overview(document: StatusDocument, chosen = false): string {
  const { domains, workers, generation, now, counts, matching } = document;
  const head = ['DOMAIN', 'STATE', 'VALID FOR', 'KEY', 'NEXT', 'NAMES'];
  const rows = domains.map((domain) => [
    domain.name,
    stateOf(domain),
    validity(domain, now),
    domain.certificates.map(({ key }) => key).join(' ') || '-',
    nextOf(domain, now),
    domain.names.length > 1 ? domain.names.slice(1).join(' ') : '',
  ]);
  const count =
    counts.total === 0
      ? 'no managed domains'
      : `${counts.complete} of ${counts.total} managed domains have their certificates`;
  const missing = counts.total - counts.complete;
  const atWork =
    document.obtaining && isWorthSaying(document.obtaining)
      ? [describeObtaining(document.obtaining)]
      : counts.running > 0 && missing > 0
        ? [`${missing} missing; renewals under way: ${counts.running}`]
        : [];
  const troubled = domains.filter(({ problem, unserved, hold }) => problem ?? unserved ?? hold);
  const explained = chosen ? troubled : troubled.slice(0, MOST_TROUBLED);
  const lines = [
    `Latchkey ${document.version}: ${count}; ${workers.length} workers, generation ${generation}`,
    ...atWork,
    ...(chosen ? [`${matching} of ${counts.total} are of the kind asked for`] : []),
    ...(domains.length === 0 ? [] : ['', ...table([head, ...rows])]),
    ...explained.flatMap((domain) => ['', `${domain.name}:`, ...troubles(domain, now)]),
    ...(explained.length < troubled.length
      ? ['', `and ${troubled.length - explained.length} more in trouble (--show failing, --show waiting)`]
      : []),
    ...staplingLines(document),
    ...warnings(document),
  ];
  return `${lines.map(escapeControls).join('\n').trimEnd()}\n`;
}

/** One domain with everything there is to say of it. `stapling` may be of others, too. */
export function details(
  domain: DomainInService,
  now: number,
  stapling: readonly StaplingStatus[] = [],
): string {
  const staples = new Map(stapling.map((one) => [one.serial, one]));
  const lastRun = lastRunOf(domain);
  const more = lastRun.length < domain.log.length ? ' (earlier runs: --json)' : '';
  const lines = [
    `${domain.name}: ${stateOf(domain)}${domain.description && domain.state !== 'complete' ? `, ${domain.description}` : ''}`,
    ...fact('names', domain.names.join(' ')),
    ...fact('CA', domain.authority),
    ...domain.certificates.flatMap((certificate) => [
      ...fact(
        'certificate',
        `${certificate.key}, serial ${certificate.serial}, by ${certificate.issuerName}`,
      ),
      ...fact(
        'valid',
        `${date(certificate.notBefore)} until ${date(certificate.notAfter)} (${span(certificate.notAfter - now)} left)`,
      ),
      ...fact('sha256', certificate.sha256),
      ...fact('revoked', certificate.revoked),
      ...fact('CA advises', adviceOf(certificate)),
      ...stapleFacts(staples.get(certificate.serial), now),
    ]),
    ...fact('renewal', domain.renewAt === undefined ? undefined : `from ${date(domain.renewAt)} on`),
    ...fact('next', nextOf(domain, now)),
    ...fact('on demand', onDemandOf(domain)),
    ...troubles(domain, now),
    ...(lastRun.length > 0 ? ['', `What happened, newest first${more}:`] : []),
    ...lastRun.map(({ when, type, detail }) => `  ${date(when)}  ${type.padEnd(14)} ${detail ?? ''}`),
  ];
  return `${lines.map(escapeControls).join('\n')}\n`;
}

function validity(domain: DomainInService, now: number): string {
  const until = validUntil(domain);
  return until === undefined ? '-' : span(until - now);
}

function adviceOf({ ari }: DomainInService['certificates'][number]): string | undefined {
  if (!ari) return undefined;
  const { window, explanationUrl } = ari;
  const why = explanationUrl === undefined ? '' : `, see ${explanationUrl}`;
  return `to renew between ${date(window.start)} and ${date(window.end)}${why}`;
}

function troubles(domain: DomainInService, now: number): string[] {
  const known = [
    ...(domain.unserved === undefined ? [] : [`  not served: ${domain.unserved}`]),
    ...(domain.hold ? [`  put off until ${date(domain.hold.until)}: ${domain.hold.reason}`] : []),
    ...domain.problems.flatMap((problem) => ['  will not work:', ...problemLines(problem, 4)]),
    ...findingLines(domain.preflight ?? []),
  ];
  known.push(...(domain.notes ?? []).map((note) => `  note: ${note}`));
  if (!domain.problem) return known;
  const { nextRun, running, remedy } = domain;
  const stopped = running ? '' : ', not tried again by itself';
  const again =
    nextRun === undefined
      ? stopped
      : `, next try in ${span(nextRun - now)} (now: latchkey renew ${shellWord(domain.name)})`;
  return [
    `  failed${timesOf(domain.errors)}${again}:`,
    ...problemLines(domain.problem, 4),
    ...(remedy === undefined ? [] : [`    ${remedy}`]),
    ...known,
  ];
}

/** None are counted of what an end of the server has interrupted. */
function timesOf(errors: number): string {
  return errors === 0 ? '' : ` ${errors} ${errors === 1 ? 'time' : 'times'}`;
}

/** As a shell takes it: a wildcard would be files. */
function shellWord(name: string): string {
  return name.startsWith('*') ? `'${name}'` : name;
}

/** What preflight has found, and what to do about it. */
export function findingLines(findings: readonly Finding[]): string[] {
  return findings.flatMap(({ severity, name, detail, remedy }) => [
    `  ${severity}: ${detail.includes(name) ? '' : `${name}: `}${detail}`,
    `    ${remedy}`,
  ]);
}

function problemLines(problem: Problem, indent: number): string[] {
  const pad = ' '.repeat(indent);
  const { identifier, detail } = problem;
  const about = identifier === undefined || detail.startsWith(identifier) ? '' : `${identifier}: `;
  return [
    `${pad}${about}${detail}`,
    `${pad}(${problem.type})`,
    ...(problem.subproblems ?? []).flatMap((sub) => problemLines(sub, indent + 2)),
  ];
}

function warnings({ tableFull, problems, workers, now }: StatusDocument): string[] {
  const full = tableFull ? ['the certificate table is full'] : [];
  const refused = refusedBy(workers, now);
  const all = [...full, ...problems, ...(refused === undefined ? [] : [refused])];
  return all.length > 0 ? ['', ...all.map((problem) => `warning: ${problem}`)] : [];
}

function stapleFacts(staple: StaplingStatus | undefined, now: number): string[] {
  if (!staple) return [];
  const { warning, problem } = staple;
  return [...fact('staple', stapleLine(staple, now)), ...fact('', problem?.detail), ...fact('', warning)];
}

function fact(name: string, value: string | undefined): string[] {
  return value === undefined || value === '' ? [] : [`  ${name.padEnd(12)} ${value}`];
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
