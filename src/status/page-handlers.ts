/** The handlers server-status and latchkey-metrics. */
import { allDomains, type StatusHandler, type StatusRequest } from './answers.ts';
import { countLines, domainLines, serverLines } from './auto.ts';
import type { StatusDocument, StatusSource } from './document.ts';

const answerServerStatus: StatusHandler = async (request, source) => {
  const document = await source.status({ limit: 0 });
  return { status: 200, type: 'text/plain; charset=UTF-8', body: auto(document, request, source) };
};

async function* auto(
  document: StatusDocument,
  { hostname, showsDomains, check }: StatusRequest,
  source: StatusSource,
): AsyncGenerator<string> {
  yield serverLines(document, hostname);
  if (!showsDomains || document.counts.total === 0) return;
  yield countLines(document.counts);
  let index = 0;
  for await (const domain of allDomains(source)) yield domainLines(domain, index++, document.now, check);
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
