/** The frame of every page: one style sheet, no script, and a policy that would let none run. */
import { createHash } from 'node:crypto';
import { html, raw } from 'hono/html';
import type { StatusAnswer } from '../answers.ts';
import { style } from './style.ts';

/** Text in the template is markup; every value put in is escaped, unless it is Html itself. */
export type Html = ReturnType<typeof html>;

const styleHash = createHash('sha256').update(style).digest('base64');
// Whole, since the policy allows exactly these bytes.
const styleElement = raw(`<style>${style}</style>`);
const policy = [
  "default-src 'none'",
  `style-src 'sha256-${styleHash}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

export async function page(title: string, body: Html): Promise<StatusAnswer> {
  const document = await html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        ${styleElement}
      </head>
      <body>
        ${body}
      </body>
    </html> `;
  return {
    status: 200,
    type: 'text/html; charset=UTF-8',
    headers: { 'Content-Security-Policy': policy, 'Referrer-Policy': 'no-referrer' },
    body: document.toString(),
  };
}

/** A moment in words, its exact time on hover. */
export function moment(ms: number, words: string): Html {
  const at = new Date(ms);
  return html`<time datetime="${at.toISOString()}" title="${at.toUTCString()}">${words}</time>`;
}

/** What comes from a configuration or a CA is linked to only where it is a page of the web. */
export function link(url: string, words: string): Html {
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) return html`${words}`;
  return html`<a href="${url}">${words}</a>`;
}

/** A CA's words, where pages of the web in them can be followed: where a pause is ended, what a limit is. */
export function linked(text: string): Html {
  const parts = text.split(/(https:\/\/[^\s<>"']*[^\s<>"'.,;:)\]])/);
  return html`${parts.map((part, index) => (index % 2 === 1 ? link(part, part) : part))}`;
}
