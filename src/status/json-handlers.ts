/** The handlers md-status and certificate-status. */
import { allDomains, json, lastSegment, type StatusHandler } from './answers.ts';
import type { StatusDocument, StatusSource } from './document.ts';
import { certificateStatus, mdStatus } from './md-status.ts';

/** The domain whose name ends the path, with its job's log; all of them where there is none. */
const answerMdStatus: StatusHandler = async ({ path }, source) => {
  const name = lastSegment(path);
  const document = await source.status({ name });
  const [domain] = document.domains;
  if (domain) return json(mdStatus(domain, document.stapling, document.staplingJob));
  return { status: 200, type: 'application/json', body: list(document, source) };
};

async function* list({ version }: StatusDocument, source: StatusSource): AsyncGenerator<string> {
  yield `{\n  "version": ${JSON.stringify(version)},\n  "managed-domains": [`;
  let separator = '\n';
  for await (const { domain, stapling } of allDomains(source, { accounts: true })) {
    yield separator + JSON.stringify(mdStatus(domain, stapling), undefined, 2).replaceAll(/^/gm, '    ');
    separator = ',\n';
  }
  yield '\n  ]\n}\n';
}

/** Of the host's own domain alone; it is asked for by anybody. */
const answerCertificateStatus: StatusHandler = async ({ managedDomain = '' }, source) => {
  const { domains } = await source.status({ name: managedDomain });
  const [domain] = domains;
  return json(domain ? certificateStatus(domain) : {});
};

/** By SetHandler's name. */
export const jsonHandlers: Readonly<Record<string, StatusHandler>> = {
  'md-status': answerMdStatus,
  'certificate-status': answerCertificateStatus,
};
