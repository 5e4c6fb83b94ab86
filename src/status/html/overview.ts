/** The overview of server-status: counts, and all domains as a table, a page of them at a time. */
import { html } from 'hono/html';
import type { StatusAnswer, StatusRequest } from '../answers.ts';
import { mdState } from '../auto.ts';
import {
  type DomainInService,
  type Show,
  type SortKey,
  shows,
  sortKeys,
  type StatusDocument,
  type StatusQuery,
} from '../document.ts';
import { nextOf, refusedBy, span, validFrom, validUntil } from '../words.ts';
import { type Html, link, moment, page } from './page.ts';
import { staplingTable } from './stapling.ts';
import { stateBadge } from './state.ts';

/** Domains on a page. */
const PAGE = 100;
/** Names of a domain that its row shows. */
const NAMES = 8;
/** Characters of a CA's words that a row shows; the domain's own page has all. */
const BRIEF = 200;

interface View {
  readonly show: Show;
  readonly sort: SortKey;
  readonly descending: boolean;
  readonly search: string;
  /** From 1. */
  readonly page: number;
}

/** What of a request's query says which part is to be seen; garbage counts as nothing. */
export function viewOf(query: URLSearchParams): View {
  const sort = query.get('sort') ?? '';
  const number = Number(query.get('page') ?? 1);
  return {
    show: shows.find((known) => known === query.get('show')) ?? 'all',
    sort: sortKeys.find((known) => known === sort.replace(/^-/, '')) ?? 'name',
    descending: sort.startsWith('-'),
    search: (query.get('search') ?? '').slice(0, 253),
    page: Number.isInteger(number) && number >= 1 && number <= 1e6 ? number : 1,
  };
}

export function queryOf({ page: number, ...view }: View): StatusQuery {
  return { ...view, offset: (number - 1) * PAGE, limit: PAGE, others: number === 1 };
}

export function overviewPage(
  document: StatusDocument,
  request: StatusRequest,
  view: View,
): Promise<StatusAnswer> {
  const { version, now, started, generation, workers, counts } = document;
  const body = html`<header>
      <h1>Latchkey at ${request.hostname}</h1>
      <p class="soft">
        Version ${version}, ${workers.length} ${workers.length === 1 ? 'worker' : 'workers'}, generation
        ${generation}, running for ${span(now - started)}
      </p>
    </header>
    <main>
      ${warnings(document)}
      ${request.showsDomains && counts.total > 0 ? managed(document, request, view) : html`<p>No managed domains are shown here.</p>`}
      ${request.showsDomains ? staplingTable(document) : ''}
    </main>`;
  return page(`Status of ${request.hostname}`, body);
}

function warnings({ tableFull, problems, workers, now }: StatusDocument): Html | undefined {
  const refused = refusedBy(workers, now);
  const all = [
    ...(tableFull ? ['The certificate table is full.'] : []),
    ...problems,
    ...(refused === undefined ? [] : [refused]),
  ];
  if (all.length === 0) return undefined;
  return html`<div class="box bad" role="alert">
    <ul>
      ${all.map((problem) => html`<li>${problem}</li>`)}
    </ul>
  </div>`;
}

function managed(document: StatusDocument, request: StatusRequest, view: View): Html {
  const { domains, now } = document;
  return html`${countCards(document, view)} ${progress(document)}
    <h3>Managed Certificates</h3>
    <form method="get" role="search">
      <input
        type="search"
        name="search"
        value="${view.search}"
        maxlength="253"
        aria-label="Part of a name"
        placeholder="Part of a name"
      /><button>Find</button>
    </form>
    <p class="soft">${matching(document, view)}</p>
    <table class="md_status" role="table">
      <thead role="rowgroup">
        <tr role="row">
          ${columns.map((column) => heading(column, view))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${domains.map((domain) => row(domain, request, now))}
      </tbody>
    </table>
    ${pages(document, view)}`;
}

const cards: readonly (readonly [show: Show, label: string])[] = [
  ['all', 'all'],
  ['complete', 'with certificates'],
  ['due', 'due'],
  ['running', 'renewing now'],
  ['ready', 'ready to use'],
  ['waiting', 'put off'],
  ['failing', 'failing'],
  ['expired', 'expired'],
];

function countCards({ counts }: StatusDocument, view: View): Html {
  const items = cards.map(([show, label]) => {
    const count = show === 'all' ? counts.total : counts[show];
    // The exception: nothing to look for on most days.
    if (show === 'waiting' && count === 0) return '';
    const tone = count > 0 && (show === 'failing' || show === 'expired') ? 'bad' : '';
    const current = view.show === show ? html` aria-current="true"` : '';
    return html`<li>
      <a href="${hrefOf({ ...view, show, page: 1 })}" ${current}><b class="${tone}">${count}</b>${label}</a>
    </li>`;
  });
  return html`<nav aria-label="Domains by state">
    <ul class="counts">
      ${items}
    </ul>
  </nav>`;
}

/** Of a first start with many domains. */
function progress({ counts: { complete, total, running } }: StatusDocument): Html | undefined {
  if (running === 0 || complete === total) return undefined;
  return html`<p><label for="progress">${complete} of ${total} domains have their certificates</label></p>
    <progress id="progress" value="${complete}" max="${total}"></progress>`;
}

function matching({ matching: count }: StatusDocument, { search }: View): string {
  const found = `${count} ${count === 1 ? 'domain' : 'domains'}`;
  return search === '' ? found : `${found} with “${search}” in a name`;
}

const columns: readonly (readonly [name: string, label: string, sort?: SortKey])[] = [
  ['Domain', 'Domain', 'name'],
  ['Names', 'Names'],
  ['Status', 'Status', 'state'],
  ['Valid', 'Valid', 'valid'],
  ['CA', 'CA', 'ca'],
  ['Stapling', 'Stapling'],
  ['CheckAt', 'Check@'],
  ['Activity', 'Activity', 'next'],
];

function heading([name, label, sort]: (typeof columns)[number], view: View): Html {
  if (!sort) return html`<th class="${name}" role="columnheader" scope="col">${label}</th>`;
  const sorted = view.sort === sort;
  const direction = view.descending ? 'descending' : 'ascending';
  const href = hrefOf({ ...view, sort, descending: sorted && !view.descending, page: 1 });
  const arrow = sorted ? (view.descending ? ' ↓' : ' ↑') : '';
  const state = sorted ? html` aria-sort="${direction}"` : '';
  return html`<th class="${name}" role="columnheader" scope="col" ${state}>
    <a href="${href}">${label}${arrow}</a>
  </th>`;
}

function row(domain: DomainInService, { rawPath, check }: StatusRequest, now: number): Html {
  const { name, names, certificates, authority } = domain;
  // Relative to wherever the administrator has put the page.
  const href = `./${[rawPath.slice(rawPath.lastIndexOf('/') + 1), encodeURIComponent(name)].filter(Boolean).join('/')}`;
  const more = names.length > NAMES ? ` and ${names.length - NAMES} more` : '';
  const links = certificates.map(
    ({ key, sha256 }) => html`${link(`${check.url}${sha256}`, `${check.name}[${key.toLowerCase()}]`)} `,
  );
  const cells: readonly unknown[] = [
    html`<a href="${href}">${name}</a>`,
    `${names.slice(0, NAMES).join(' ')}${more}`,
    status(domain),
    validity(domain, now),
    authority && link(authority, URL.parse(authority)?.hostname ?? authority),
    domain.md.stapling ? 'on' : '',
    links,
    activity(domain, now),
  ];
  return html`<tr role="row">
    ${columns.map(
      ([column, label], index) =>
        html`<td class="${column}" role="cell" data-label="${label}"><div>${cells[index]}</div></td>`,
    )}
  </tr> `;
}

function status(domain: DomainInService): Html {
  const words = mdState(domain);
  return html`${stateBadge(domain)}${words === 'good' ? '' : html`<br /><span class="soft">${words}</span>`}`;
}

function validity(domain: DomainInService, now: number): Html | undefined {
  const [from, until] = [validFrom(domain), validUntil(domain)];
  if (from === undefined || until === undefined) return undefined;
  const exact = `${new Date(from).toUTCString()} - ${new Date(until).toUTCString()}`;
  const day = new Date(until).toISOString().slice(0, 10);
  const left = until > now ? `${span(until - now)} left` : `expired for ${span(now - until)}`;
  return html`until <span class="day" title="${exact}">${day}</span><br /><span class="soft">${left}</span>`;
}

function activity(domain: DomainInService, now: number): Html {
  const { nextRun, problem, running, hold } = domain;
  const next = nextRun === undefined ? nextOf(domain, now) : moment(nextRun, nextOf(domain, now));
  const words = problem?.detail ?? hold?.reason;
  if (words === undefined || running) return html`${next}`;
  const brief = words.length > BRIEF ? `${words.slice(0, BRIEF)}…` : words;
  return html`${problem ? html`<span class="bad">Error:</span> ` : ''}${brief}<br />${next}`;
}

function pages({ matching: count }: StatusDocument, view: View): Html | undefined {
  const last = Math.max(1, Math.ceil(count / PAGE));
  if (last === 1) return undefined;
  const to = (number: number, words: string) =>
    html`<a href="${hrefOf({ ...view, page: number })}">${words}</a>`;
  return html`<nav class="pages" aria-label="Pages">
    ${view.page > 1 ? to(view.page - 1, '← Previous') : ''}
    <span>Page ${view.page} of ${last}</span>
    ${view.page < last ? to(view.page + 1, 'Next →') : ''}
  </nav>`;
}

function hrefOf({ show, sort, descending, search, page: number }: View): string {
  const query = new URLSearchParams();
  if (show !== 'all') query.set('show', show);
  if (sort !== 'name' || descending) query.set('sort', `${descending ? '-' : ''}${sort}`);
  if (search !== '') query.set('search', search);
  if (number > 1) query.set('page', String(number));
  return `?${query.toString()}`;
}
