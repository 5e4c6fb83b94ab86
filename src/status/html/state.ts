/** The state of a domain as a coloured word: the word alone says it, too. */
import { html } from 'hono/html';
import type { DomainInService } from '../document.ts';
import { stateOf } from '../words.ts';
import type { Html } from './page.ts';

export function stateBadge(domain: DomainInService): Html {
  return html`<span class="state ${tone(domain)}">${stateOf(domain)}</span>`;
}

function tone(domain: DomainInService): 'ok' | 'warn' | 'bad' | 'work' {
  if (domain.expired) return 'bad';
  if (domain.running) return 'work';
  if (domain.problem) return domain.certificates.length > 0 ? 'warn' : 'bad';
  if (domain.staged) return 'work';
  return domain.state === 'complete' && domain.unserved === undefined ? 'ok' : 'warn';
}
