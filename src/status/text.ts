/** The status document for people, in plain text. */
import { escapeControls } from '../base/log.ts';
import type { Problem } from '../domains/issuer.ts';
import type { DomainInService, StatusDocument } from './document.ts';

const SECOND = 1000;
const UNITS = [
  ['d', 86_400 * SECOND],
  ['h', 3600 * SECOND],
  ['min', 60 * SECOND],
  ['s', SECOND],
] as const;

/** All domains as a table, one line each, those in trouble explained below it. */
export function overview(document: StatusDocument): string {
  const { domains, workers, generation, now } = document;
  const head = ['DOMAIN', 'STATE', 'VALID FOR', 'KEY', 'NEXT', 'NAMES'];
  const rows = domains.map((domain) => [
    domain.name,
    stateOf(domain),
    validity(domain, now),
    domain.certificates.map(({ key }) => key).join(' ') || '-',
    nextOf(domain, now),
    domain.names.length > 1 ? domain.names.slice(1).join(' ') : '',
  ]);
  const complete = domains.filter(({ state }) => state === 'complete').length;
  const count =
    domains.length === 0
      ? 'no managed domains'
      : `${complete} of ${domains.length} managed domains have their certificates`;
  const lines = [
    `Latchkey ${document.version}: ${count}; ${workers.length} workers, generation ${generation}`,
    ...(domains.length === 0 ? [] : ['', ...table([head, ...rows])]),
    ...domains
      .filter(({ problem, unserved, hold }) => problem ?? unserved ?? hold)
      .flatMap((domain) => ['', `${domain.name}:`, ...troubles(domain, now)]),
    ...warnings(document),
  ];
  return `${lines.map(escapeControls).join('\n').trimEnd()}\n`;
}

/** One domain with everything there is to say of it. */
export function details(domain: DomainInService, now: number): string {
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
    ]),
    ...fact('renewal', domain.renewAt === undefined ? undefined : `from ${date(domain.renewAt)} on`),
    ...fact('next', nextOf(domain, now)),
    ...troubles(domain, now),
    ...(lastRun.length > 0 ? ['', `What happened, newest first${more}:`] : []),
    ...lastRun.map(({ when, type, detail }) => `  ${date(when)}  ${type.padEnd(14)} ${detail ?? ''}`),
  ];
  return `${lines.map(escapeControls).join('\n')}\n`;
}

/** Newest first, as the log: up to where the run began. */
function lastRunOf({ log }: DomainInService): DomainInService['log'] {
  const begin = log.findIndex(({ type }) => type === 'starting');
  return begin === -1 ? log : log.slice(0, begin + 1);
}

function stateOf(domain: DomainInService): string {
  if (domain.running) return 'renewing';
  if (domain.expired) return 'EXPIRED';
  if (domain.problem) return domain.certificates.length > 0 ? 'renewal fails' : 'failing';
  if (domain.staged) return 'staged';
  if (domain.state !== 'complete') return domain.state;
  return domain.unserved === undefined ? 'ok' : 'not served';
}

function validity({ certificates }: DomainInService, now: number): string {
  if (certificates.length === 0) return '-';
  return span(Math.min(...certificates.map(({ notAfter }) => notAfter)) - now);
}

function nextOf(domain: DomainInService, now: number): string {
  if (domain.activity !== undefined) return domain.activity;
  if (domain.running) return 'at work';
  if (domain.hold) return `waits for ${span(domain.hold.until - now)}: a limit of its CA`;
  if (domain.nextRun === undefined) return domain.renewMode === 'manual' ? 'nothing (manual)' : 'nothing';
  const what = domain.problem ? 'tries again' : domain.certificates.length > 0 ? 'renews' : 'begins';
  return `${what} in ${span(domain.nextRun - now)}`;
}

function troubles(domain: DomainInService, now: number): string[] {
  const known = [
    ...(domain.unserved === undefined ? [] : [`  not served: ${domain.unserved}`]),
    ...(domain.hold ? [`  put off until ${date(domain.hold.until)}: ${domain.hold.reason}`] : []),
    ...domain.problems.flatMap((problem) => ['  will not work:', ...problemLines(problem, 4)]),
  ];
  if (!domain.problem) return known;
  const again = domain.nextRun === undefined ? '' : `, next try in ${span(domain.nextRun - now)}`;
  return [
    `  failed ${domain.errors} ${domain.errors === 1 ? 'time' : 'times'}${again}:`,
    ...problemLines(domain.problem, 4),
    ...known,
  ];
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

function warnings({ tableFull, problems }: StatusDocument): string[] {
  const full = tableFull ? ['the certificate table is full'] : [];
  const all = [...full, ...problems];
  return all.length > 0 ? ['', ...all.map((problem) => `warning: ${problem}`)] : [];
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

/** The two largest units of a time span: `82 d 3 h`; `0 s` for what is over. */
export function span(ms: number): string {
  const parts: string[] = [];
  let rest = Math.max(0, ms);
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ') || '0 s';
}

function date(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
