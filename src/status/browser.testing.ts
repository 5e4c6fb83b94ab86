/** Chromium on status pages, which a plain HTTP server gives it. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import type { StaplingStatus } from '../ocsp/status.ts';
import type { StatusRequest } from './answers.ts';
import type { DomainInService } from './document.ts';
import { pageHandlers } from './page-handlers.ts';
import { source } from './status.testing.ts';

const executablePath = (process.env['PATH'] ?? '')
  .split(':')
  .map((dir) => join(dir, 'chromium'))
  .find((file) => existsSync(file));

/** Why there can be no browser, or false. */
export const withoutChromium: string | false = executablePath ? false : 'chromium is not installed';

/** Its own sandbox needs rights that containers don't have, and it sees our own pages only. */
export function launchChromium(...more: readonly string[]): Promise<Browser> {
  return chromium.launch({ executablePath: executablePath ?? '', args: ['--no-sandbox', ...more] });
}

export interface Pages extends AsyncDisposable {
  /** Of the overview. */
  readonly url: string;
}

/** Serves the handler server-status for these domains. */
export async function servePages(
  domains: readonly DomainInService[],
  stapling: readonly StaplingStatus[] = [],
): Promise<Pages> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
    const asked: StatusRequest = {
      path: decodeURIComponent(pathname),
      rawPath: pathname,
      query: searchParams,
      managedDomain: undefined,
      hostname: 'localhost',
      showsDomains: true,
      check: { name: 'crt.sh', url: 'https://crt.sh?q=' },
    };
    const handler = pathname.startsWith('/server-status') ? pageHandlers['server-status'] : undefined;
    if (!handler) {
      response.writeHead(404).end();
      return;
    }
    void handler(asked, source(domains, stapling)).then(({ type, headers, body }) => {
      response.writeHead(200, { ...headers, 'Content-Type': type }).end(body);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/server-status`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

// What follows runs in the browser. Of its world no more is declared than is used.
interface InPage {
  readonly outerHTML: string;
  readonly parentElement: InPage | null;
  readonly childNodes: Iterable<{ readonly nodeType: number; readonly textContent: string | null }>;
}
declare function getComputedStyle(element: object): {
  readonly color: string;
  readonly backgroundColor: string;
  readonly outlineWidth: string;
};
declare const document: {
  readonly body: InPage;
  readonly documentElement: { readonly scrollWidth: number; readonly clientWidth: number };
  querySelectorAll(selector: string): Iterable<InPage>;
};

/** Elements with text of their own whose contrast is below WCAG AA's 4.5, in the page's colours. */
export function poorContrasts(): string[] {
  const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (color: string) => {
    const [r = 0, g = 0, b = 0] = channels(color).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element: InPage | null): string => {
    if (!element) return 'rgb(255, 255, 255)';
    const { backgroundColor } = getComputedStyle(element);
    return channels(backgroundColor)[3] === 0 ? ground(element.parentElement) : backgroundColor;
  };
  return [...document.querySelectorAll('body *')].flatMap((element) => {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent?.trim());
    if (!text) return [];
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return ratio < 4.5 ? [`${element.outerHTML.slice(0, 80)}: ${ratio.toFixed(2)}`] : [];
  });
}

/** Pixels by which the page is wider than its window. */
export function overflow(): number {
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth - clientWidth;
}

export function backgroundOfPage(): string {
  return getComputedStyle(document.body).backgroundColor;
}

export function outlineOf(element: object): string {
  return getComputedStyle(element).outlineWidth;
}
