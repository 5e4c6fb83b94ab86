/** OCSP stapling as a table: what responders have said, and what is stapled. */
import { html } from 'hono/html';
import type { StaplingStatus } from '../../ocsp/status.ts';
import type { StatusDocument } from '../document.ts';
import { ocspStatus } from '../stapling.ts';
import { span } from '../words.ts';
import { type Html, link } from './page.ts';

/** Rows at most: certificates that belong to no domain come without pages. */
const MOST = 500;

const columns = [
  ['Domain', 'Domain'],
  ['CertificateID', 'Certificate ID'],
  ['OCSPStatus', 'OCSP Status'],
  ['StaplingValid', 'Stapling Valid'],
  ['Responder', 'Responder'],
  ['Activity', 'Activity'],
] as const;

export function staplingTable({ stapling, staplingCounts: counts, now }: StatusDocument): Html | undefined {
  if (stapling.length === 0) return undefined;
  const rows = stapling.slice(0, MOST);
  return html`<h3>Managed Staplings</h3>
    <p class="soft">
      ${counts.ok} of ${counts.total} certificates are stapled; the last request failed for ${counts.errored}
    </p>
    ${staplingRows(rows, now)}
    ${stapling.length > MOST ? html`<p class="soft">and ${stapling.length - MOST} more</p>` : ''}`;
}

export function staplingRows(rows: readonly StaplingStatus[], now: number): Html {
  return html`<table class="md_ocsp_status" role="table">
    <thead role="rowgroup">
      <tr role="row">
        ${columns.map(
          ([column, label]) => html`<th class="${column}" role="columnheader" scope="col">${label}</th>`,
        )}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map((one) => row(one, now))}
    </tbody>
  </table>`;
}

function row(one: StaplingStatus, now: number): Html {
  const { domain, names, id, responder, activity, warning } = one;
  const cells: readonly unknown[] = [
    domain === 'other' ? names.join(' ') : domain,
    html`<span class="mono">${id}</span>`,
    html`<span class="state ${tone(one)}">${ocspStatus(one)}</span>`,
    validity(one, now),
    responder && link(responder, URL.parse(responder)?.hostname ?? responder),
    html`${warning === '' ? '' : html`<b class="bad">${warning}</b><br />`}${activity}`,
  ];
  return html`<tr role="row">
    ${columns.map(
      ([column, label], index) =>
        html`<td class="${column}" role="cell" data-label="${label}"><div>${cells[index]}</div></td>`,
    )}
  </tr> `;
}

function tone({ status, stapled, impossible }: StaplingStatus): 'ok' | 'warn' | 'bad' {
  if (status === 'revoked') return 'bad';
  return stapled || impossible !== '' ? 'ok' : 'warn';
}

function validity({ valid }: StaplingStatus, now: number): Html | undefined {
  if (!valid) return undefined;
  const exact = `${new Date(valid.from).toUTCString()} - ${new Date(valid.until).toUTCString()}`;
  const left = valid.until > now ? `${span(valid.until - now)} left` : 'over';
  return html`until
    <span class="day" title="${exact}">${new Date(valid.until).toISOString().slice(0, 10)}</span><br /><span
      class="soft"
      >${left}</span
    >`;
}
