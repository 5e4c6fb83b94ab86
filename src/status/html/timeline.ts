/**
 * A certificate's life as a bar: valid, when it is to be renewed, now. The drawing stretches with the page; words
 * stand beside it, so that they are readable at any width and by any reader.
 */
import { html } from 'hono/html';
import type { CertificateStatus } from '../../domains/status.ts';
import type { DomainInService } from '../document.ts';
import { type Html, moment } from './page.ts';

/** Units of the drawing's width. */
const WIDTH = 1000;

interface Stretch {
  readonly name: 'life' | 'renew' | 'ari';
  readonly label: string;
  readonly from: number;
  readonly until: number;
  /** Of the bar, from the top. */
  readonly y: number;
  readonly height: number;
}

export function timeline(domain: DomainInService, certificate: CertificateStatus, now: number): Html {
  const { notBefore, notAfter } = certificate;
  const stretches = stretchesOf(domain, certificate);
  const start = Math.min(notBefore, now);
  const end = Math.max(notAfter, now, domain.nextRun ?? 0);
  const x = (ms: number) => Math.round(((ms - start) / Math.max(end - start, 1)) * WIDTH * 10) / 10;
  const line = (name: string, ms: number) =>
    html`<line
      class="${name}"
      x1="${x(ms)}"
      x2="${x(ms)}"
      y1="0"
      y2="50"
      vector-effect="non-scaling-stroke"
    />`;
  const { nextRun } = domain;
  return html`<svg
      class="timeline"
      viewBox="0 0 ${WIDTH} 50"
      preserveAspectRatio="none"
      role="img"
      aria-label="${describe(stretches, now)}"
    >
      ${stretches.map(
        ({ name, from, until, y, height }) =>
          html`<rect
            class="${name}"
            x="${x(from)}"
            y="${y}"
            width="${Math.max(x(until) - x(from), 2)}"
            height="${height}"
          />`,
      )}
      ${nextRun === undefined ? '' : line('next', nextRun)} ${line('now', now)}
    </svg>
    <ul class="legend">
      ${stretches.map(
        ({ name, label, from, until }) =>
          html`<li>
            <svg class="timeline" viewBox="0 0 10 10" aria-hidden="true">
              <rect class="${name}" width="10" height="10" /></svg
            >${label}: ${day(from)} to ${day(until)}
          </li>`,
      )}
      <li>
        <svg class="timeline" viewBox="0 0 10 10" aria-hidden="true">
          <line class="now" x1="5" x2="5" y1="0" y2="10" /></svg
        >now: ${day(now)}
      </li>
      ${
        nextRun === undefined
          ? ''
          : html`<li>
              <svg class="timeline" viewBox="0 0 10 10" aria-hidden="true">
                <line class="next" x1="5" x2="5" y1="0" y2="10" /></svg
              >next run: ${day(nextRun)}
            </li>`
      }
    </ul>`;
}

function stretchesOf({ renewAt }: DomainInService, { notBefore, notAfter }: CertificateStatus): Stretch[] {
  const life = { name: 'life', label: 'valid', from: notBefore, until: notAfter, y: 8, height: 34 } as const;
  if (renewAt === undefined || renewAt >= notAfter) return [life];
  const from = Math.max(renewAt, notBefore);
  return [life, { name: 'renew', label: 'to be renewed', from, until: notAfter, y: 8, height: 34 }];
}

function describe(stretches: readonly Stretch[], now: number): string {
  const parts = stretches.map(({ label, from, until }) => `${label} ${words(from)} to ${words(until)}`);
  return `${parts.join(', ')}; now it is ${words(now)}`;
}

const day = (ms: number): Html => moment(ms, words(ms));

/** By the minute: some certificates live for an hour. */
function words(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}
