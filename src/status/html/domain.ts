/** The page of one domain: what it has, what happens next, what went wrong and what to do about it. */
import { html } from 'hono/html';
import type { Problem } from '../../domains/issuer.ts';
import { remedyFor } from '../../domains/renewal/remedies.ts';
import type { CertificateStatus } from '../../domains/status.ts';
import type { StaplingStatus } from '../../ocsp/status.ts';
import type { StatusAnswer, StatusRequest } from '../answers.ts';
import type { DomainInService, StatusDocument } from '../document.ts';
import { date, lastRunOf, nextOf, onDemandOf, span } from '../words.ts';
import { staplingRows } from './stapling.ts';
import { type Html, link, linked, moment, page } from './page.ts';
import { stateBadge } from './state.ts';
import { timeline } from './timeline.ts';

export function domainPage(
  domain: DomainInService,
  { now, stapling }: StatusDocument,
  { check }: StatusRequest,
): Promise<StatusAnswer> {
  const body = html`<header>
      <nav aria-label="Up"><a href="./">← All domains</a></nav>
      <h1>${domain.name}</h1>
      <p>
        ${stateBadge(domain)}${domain.description === '' ? '' : html` <span class="soft">${domain.description}</span>`}
      </p>
    </header>
    <main>
      ${next(domain, now)} ${trouble(domain, now)} ${certificates(domain, now, check)} ${staged(domain)}
      ${staples(domain, stapling, now)} ${facts(domain)} ${log(domain)}
    </main>`;
  return page(`${domain.name}: certificates`, body);
}

function staples({ name }: DomainInService, all: readonly StaplingStatus[], now: number): Html | undefined {
  const own = all.filter(({ domain }) => domain === name);
  if (own.length === 0) return undefined;
  return html`<section>
    <h2>OCSP stapling</h2>
    ${staplingRows(own, now)}
  </section>`;
}

function next(domain: DomainInService, now: number): Html {
  const { nextRun, hold, reasons, unserved } = domain;
  const onDemand = onDemandOf(domain);
  return html`<section>
    <h2>What happens next</h2>
    <p>
      ${nextRun === undefined ? nextOf(domain, now) : html`${nextOf(domain, now)} (${moment(nextRun, date(nextRun))})`}
    </p>
    ${hold ? html`<p class="warn">${linked(hold.reason)}</p>` : ''}
    ${onDemand === undefined ? '' : html`<p>Obtained on demand: ${onDemand}.</p>`}
    ${reasons.length > 0 ? html`<p class="soft">Because ${reasons.join('; ')}.</p>` : ''}
    ${unserved === undefined ? '' : html`<p class="warn">Its certificates are not served: ${unserved}</p>`}
  </section>`;
}

function trouble(domain: DomainInService, now: number): Html | undefined {
  const { problem, problems, preflight = [], errors, nextRun, running } = domain;
  if (!problem && problems.length + preflight.length === 0) return undefined;
  const stopped = running ? '' : '; not tried again by itself';
  const again = nextRun === undefined ? stopped : `; next try in ${span(nextRun - now)}`;
  const last =
    problem &&
    html`<div class="box bad">
      <p><b>Failed ${errors} ${errors === 1 ? 'time' : 'times'} in a row</b>${again}</p>
      ${problemBox(problem)}
    </div>`;
  const coming = problems.map(
    (one) =>
      html`<div class="box warn">
        <p><b>This will not work</b></p>
        ${problemBox(one)}
      </div>`,
  );
  const seen = preflight.map(
    ({ detail, remedy }) =>
      html`<div class="box warn">
        <p><b>Seen from here</b></p>
        <p>${detail}</p>
        <p><b>What to do:</b> ${remedy}</p>
      </div>`,
  );
  return html`<section>
    <h2>What went wrong</h2>
    ${last}${coming}${seen}
  </section>`;
}

function problemBox(problem: Problem): Html {
  const remedy = remedyFor(problem);
  return html`${problemWords(problem)}${remedy === undefined ? '' : html`<p><b>What to do:</b> ${linked(remedy)}</p>`}`;
}

function problemWords({ type, detail, identifier, subproblems = [] }: Problem): Html {
  const about = identifier === undefined || detail.startsWith(identifier) ? '' : `${identifier}: `;
  return html`<p>${about}${linked(detail)}<br /><code class="soft">${type}</code></p>
    ${
      subproblems.length > 0
        ? html`<ul>
            ${subproblems.map((sub) => html`<li>${problemWords(sub)}</li>`)}
          </ul>`
        : ''
    }`;
}

function certificates(domain: DomainInService, now: number, check: StatusRequest['check']): Html {
  if (domain.certificates.length === 0) {
    return html`<section>
      <h2>Certificates</h2>
      <p>There is none yet.</p>
    </section>`;
  }
  return html`<section>
    <h2>${domain.certificates.length === 1 ? 'Certificate' : 'Certificates'}</h2>
    ${domain.certificates.map(
      (certificate) =>
        html`<div class="box">
          <p>
            <b>${certificate.key}</b> by ${certificate.issuerName},
            ${certificate.notAfter > now ? `${span(certificate.notAfter - now)} left` : 'expired'}
          </p>
          ${timeline(domain, certificate, now)} ${advice(certificate)} ${identity(certificate)}
          <p>Look it up at ${link(`${check.url}${certificate.sha256}`, check.name)}</p>
        </div>`,
    )}
  </section>`;
}

/** What is said of it elsewhere. */
function advice({ revoked, ari }: CertificateStatus): Html {
  const why = ari?.explanationUrl;
  return html`${revoked === undefined ? '' : html`<p class="bad"><b>Revoked:</b> ${revoked}</p>`}
  ${why === undefined ? '' : html`<p>The CA explains when it wants it renewed: ${link(why, why)}</p>`}`;
}

function identity({ serial, sha256, ariCertId, notBefore, notAfter }: CertificateStatus): Html {
  return html`<dl>
    <dt>Valid</dt>
    <dd>${date(notBefore)} until ${date(notAfter)}</dd>
    <dt>Serial</dt>
    <dd class="mono">${serial}</dd>
    <dt>SHA-256</dt>
    <dd class="mono">${sha256}</dd>
    ${
      ariCertId === undefined
        ? ''
        : html`<dt>ARI id</dt>
            <dd class="mono">${ariCertId}</dd>`
    }
  </dl>`;
}

function staged({ staged: waiting }: DomainInService): Html | undefined {
  if (!waiting) return undefined;
  const from = waiting.validFrom === undefined ? 'at the next restart' : `from ${date(waiting.validFrom)} on`;
  return html`<section>
    <h2>Ready to be used</h2>
    <p>New certificates have been obtained; they are to be used ${from}, or from the next restart on.</p>
    ${(waiting.certificates ?? []).map((certificate) => html`<div class="box"><b>${certificate.key}</b>${identity(certificate)}</div>`)}
  </section>`;
}

function facts({ names, authority, md, renewMode }: DomainInService): Html {
  const contacts = md.contacts.map((contact) => contact.replace(/^mailto:/, '')).join(', ');
  return html`<section>
    <h2>Configuration</h2>
    <dl>
      <dt>Names</dt>
      <dd>${names.join(' ')}</dd>
      <dt>CA</dt>
      <dd>${authority === undefined ? 'none' : link(authority, authority)}</dd>
      <dt>Contact</dt>
      <dd>${contacts || 'none'}</dd>
      <dt>Renewal</dt>
      <dd>${renewMode}, in the last ${md['renew-window']} of a certificate’s life</dd>
      <dt>Must-staple</dt>
      <dd>${md['must-staple'] ? 'yes' : 'no'}</dd>
      ${
        md.profile === undefined
          ? ''
          : html`<dt>Profile</dt>
              <dd>${md.profile}</dd>`
      }
    </dl>
  </section>`;
}

function log(domain: DomainInService): Html | undefined {
  if (domain.log.length === 0) return undefined;
  const last = lastRunOf(domain);
  const earlier = domain.log.slice(last.length);
  return html`<section>
    <h2>What happened</h2>
    ${entries(last)}
    ${
      earlier.length > 0
        ? html`<details>
            <summary>Earlier runs (${earlier.length} entries)</summary>
            ${entries(earlier)}
          </details>`
        : ''
    }
  </section>`;
}

function entries(all: DomainInService['log']): Html {
  return html`<table class="log" role="table">
    <thead role="rowgroup">
      <tr role="row">
        <th role="columnheader" scope="col">When</th>
        <th role="columnheader" scope="col">What</th>
        <th role="columnheader" scope="col">Details</th>
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${all.map(
        ({ when, type, detail, status }) =>
          html`<tr role="row">
            <td role="cell" data-label="When">${moment(when, date(when))}</td>
            <td role="cell" data-label="What">${type}</td>
            <td role="cell" data-label="Details">
              <div>
                ${detail ?? ''}${status === undefined ? '' : html` <code class="soft">${status}</code>`}
              </div>
            </td>
          </tr> `,
      )}
    </tbody>
  </table>`;
}
