/** `server-status?auto`: lines for scripts, as mod_status and mod_md print them. */
import { escapeControls } from '../base/log.ts';
import type { StaplingStatus } from '../ocsp/status.ts';
import type { Counts, DomainInService, StatusDocument } from './document.ts';
import { ocspStatus } from './stapling.ts';
import { validUntil } from './words.ts';

type Fact = readonly [name: string, value: string | number | undefined];

/** What is not about domains. Requests are not counted: what mod_status tells of them is left out. */
export function serverLines(document: StatusDocument, hostname: string): string {
  const { version, now, started, generation, workers } = document;
  const uptime = Math.max(0, Math.floor((now - started) / 1000));
  return `${hostname}\n${lines([
    ['ServerVersion', `Latchkey/${version}`],
    ['CurrentTime', new Date(now).toUTCString()],
    ['RestartTime', new Date(started).toUTCString()],
    ['ParentServerConfigGeneration', generation],
    ['ServerUptimeSeconds', uptime],
    ['Uptime', uptime],
    ['ConnsTotal', workers.reduce((sum, { load }) => sum + (load?.connections ?? 0), 0)],
    ['Processes', workers.length],
  ])}`;
}

export function countLines({ total, complete, due, failing, ready }: Counts): string {
  return lines([
    ['ManagedCertificatesTotal', total],
    ['ManagedCertificatesOK', complete],
    ['ManagedCertificatesRenew', due],
    ['ManagedCertificatesErrored', failing],
    ['ManagedCertificatesReady', ready],
  ]);
}

/** `index` counts domains by name from 0. */
export function domainLines(
  domain: DomainInService,
  index: number,
  now: number,
  check: { readonly name: string; readonly url: string },
): string {
  const facts: Fact[] = [
    ['Domain', domain.name],
    ...domain.names.map((name, at): Fact => [`Names[${at}]`, name]),
    ['Status', mdState(domain)],
    ['ValidUntil', day(validUntil(domain))],
    ...authority(domain),
    ...(domain.md.stapling ? [['Stapling', 'on'] as const] : []),
    ...domain.certificates.flatMap(({ key, sha256 }): Fact[] => [
      ['CheckAtType', key.toLowerCase()],
      ['CheckAtName', check.name],
      ['CheckAtURL', `${check.url}${sha256}`],
      ['CheckAtFingerprint', sha256],
    ]),
    ...activity(domain, now),
  ];
  return lines(facts.map(([name, value]) => [`ManagedDomain[${index}]${name}`, value]));
}

/** Those of managed domains first. */
export function staplingLines(
  all: readonly StaplingStatus[],
  { staplingCounts: { total, ok, due, errored }, now }: Pick<StatusDocument, 'staplingCounts' | 'now'>,
): string {
  const counts = lines([
    ['ManagedStaplingsTotal', total],
    ['ManagedStaplingsOK', ok],
    ['ManagedStaplingsRenew', due],
    ['ManagedStaplingsErrored', errored],
  ]);
  return counts + all.map((one, index) => stapleLines(one, index, now)).join('');
}

function stapleLines(one: StaplingStatus, index: number, now: number): string {
  const { domain, id, valid, responder, problem, nextRun } = one;
  const facts: Fact[] = [
    ['Domain', domain],
    ['CertificateID', id],
    ['OCSPStatus', ocspStatus(one)],
    ['StaplingValidUntil', day(valid?.until)],
    ['ResponderName', responder && (URL.parse(responder)?.hostname ?? responder)],
    ['ResponderURL', responder],
    ['ActivityLastProblem', problem?.type],
    ['ActivityLastDetail', problem?.detail],
    ['ActivityRefresh', nextRun && Math.max(0, Math.round((nextRun - now) / 1000))],
  ];
  return lines(facts.map(([name, value]) => [`ManagedStapling[${index}]${name}`, value]));
}

/** mod_md's words for the state of a domain. */
export function mdState({ state, expired, description }: DomainInService): string {
  if (expired) return 'expired';
  if (state === 'complete') return 'good';
  return description === '' ? state : `${state}: ${description}`;
}

function authority({ authority: url }: DomainInService): Fact[] {
  if (url === undefined) return [];
  return [
    ['CAName', URL.parse(url)?.hostname ?? url],
    ['CAURL', url],
  ];
}

function activity(domain: DomainInService, now: number) {
  const { job, problem, errors, nextRun, renewAt, staged, running, hold } = domain;
  const secondsTo = (at: number | undefined) =>
    at === undefined ? undefined : Math.max(0, Math.round((at - now) / 1000));
  if (!problem && !staged && !running && !hold)
    return [['ActivityRenew', secondsTo(renewAt)]] satisfies Fact[];
  return [
    ['ActivityLastStatus', problem ? (job?.last?.['status-description'] ?? 'An error occurred') : undefined],
    ['ActivityLastProblem', problem?.type],
    ['ActivityFinished', staged ? 'yes' : 'no'],
    ['ActivityNewStaged', staged?.certificates?.length],
    ['ActivityLastDetail', problem?.detail ?? hold?.reason ?? job?.last?.activity],
    ['ActivityRetries', errors > 0 ? errors : undefined],
    ['ActivityNextRun', secondsTo(nextRun)],
  ] satisfies Fact[];
}

function day(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 10);
}

/** One line each; what is undefined is left out. */
function lines(facts: readonly Fact[]): string {
  return facts
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${escapeControls(String(value))}\n`)
    .join('');
}
