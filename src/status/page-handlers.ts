/** The handlers server-status and latchkey-metrics. */
import { allDomains, lastSegment, type StatusHandler, type StatusRequest } from './answers.ts';
import type { StaplingStatus } from '../ocsp/status.ts';
import { countLines, domainLines, serverLines, staplingLines } from './auto.ts';
import type { StatusDocument, StatusSource } from './document.ts';
import { domainPage } from './html/domain.ts';
import { overviewPage, queryOf, viewOf } from './html/overview.ts';

/** The overview; the page of a domain whose name ends the path; lines for scripts with `?auto`. */
const answerServerStatus: StatusHandler = async (request, source) => {
  const { query, path, showsDomains } = request;
  if (query.has('auto')) {
    const document = await source.status({ limit: 0, others: true });
    return { status: 200, type: 'text/plain; charset=UTF-8', body: auto(document, request, source) };
  }
  const one = await source.status({ name: lastSegment(path) });
  const [domain] = one.domains;
  if (domain && showsDomains) return domainPage(domain, one, request);
  const view = viewOf(query);
  return overviewPage(await source.status(queryOf(view)), request, view);
};

async function* auto(
  document: StatusDocument,
  { hostname, showsDomains, check }: StatusRequest,
  source: StatusSource,
): AsyncGenerator<string> {
  yield serverLines(document, hostname);
  if (!showsDomains) return;
  yield countLines(document.counts);
  let index = 0;
  const staplings: StaplingStatus[] = [];
  for await (const { domain, stapling } of allDomains(source)) {
    yield domainLines(domain, index++, document.now, check);
    staplings.push(...stapling.filter((one) => one.domain === domain.name));
  }
  staplings.push(...document.stapling);
  yield staplingLines(staplings, document);
}

const answerMetrics: StatusHandler = async (_request, source) => ({
  status: 200,
  type: 'text/plain; version=0.0.4; charset=utf-8',
  body: await source.metrics(),
});

/** By SetHandler's name. */
export const pageHandlers: Readonly<Record<string, StatusHandler>> = {
  'server-status': answerServerStatus,
  'latchkey-metrics': answerMetrics,
};
