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
  const stretches = stretchesOf(domain, certificate);
  const start = Math.min(now, ...stretches.map(({ from }) => from));
  const end = Math.max(now, ...stretches.map(({ until }) => until));
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
  const nextRun = domain.nextRun !== undefined && domain.nextRun <= end ? domain.nextRun : undefined;
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

function stretchesOf({ renewAt }: DomainInService, certificate: CertificateStatus): Stretch[] {
  const { notBefore, notAfter, ari } = certificate;
  const life = { name: 'life', label: 'valid', from: notBefore, until: notAfter, y: 8, height: 34 } as const;
  const stretches: Stretch[] = [life];
  if (renewAt !== undefined && renewAt < notAfter) {
    const from = Math.max(renewAt, notBefore);
    stretches.push({ name: 'renew', label: 'to be renewed', from, until: notAfter, y: 8, height: 34 });
  }
  if (ari) {
    // A window that lies years away would leave nothing to be seen of the rest.
    const life = notAfter - notBefore;
    const within = (ms: number) => Math.min(Math.max(ms, notBefore - life), notAfter + life);
    const [from, until] = [within(ari.window.start), within(ari.window.end)];
    stretches.push({ name: 'ari', label: 'the CA wants it renewed', from, until, y: 16, height: 18 });
  }
  return stretches;
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
