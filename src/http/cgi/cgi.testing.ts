/** Scripts in a folder of their own, behind a Frontend. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createLoggers } from '../../base/log.ts';
import { load } from '../../config/config.testing.ts';
import { serve } from '../frontend.testing.ts';
import type { Credential, Served } from '../frontend.testing.ts';
import type { Dependencies } from '../pipeline.ts';

export interface ScriptSite extends Served {
  readonly root: string;
  /** Lines of the error log. */
  readonly errors: string[];
  /** Sends a request with `Host: a` and `Connection: close`. `line`: without version; `fields`: more of the head. */
  ask(line: string, fields?: readonly string[], body?: string): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  /** All of the head. */
  readonly head: string;
  /** Without the framing of chunks. */
  readonly body: string;
}

/**
 * @param scripts by name: what `/bin/sh` runs, or with `#!` the whole file; executable, at /cgi/NAME
 * @param text more configuration
 */
export async function scriptSite(
  t: TestContext,
  scripts: Readonly<Record<string, string>>,
  text = '',
  deps: Partial<Dependencies> = {},
  credential?: Credential,
): Promise<ScriptSite> {
  const files = { 'docs/index.html': 'the index\n', 'cgi/README': 'no script\n' };
  const settings = load(t, `DocumentRoot docs\nScriptAlias /cgi/ cgi/\n${text}\n`, { files });
  const root = settings.serverRoot;
  for (const [name, source] of Object.entries(scripts)) {
    const file = join(root, 'cgi', name);
    writeFileSync(file, source.startsWith('#!') ? source : `#!/bin/sh\n${source}\n`);
    chmodSync(file, 0o755);
  }
  const errors: string[] = [];
  const loggers = createLoggers(
    (line) => errors.push(line),
    () => ({ all: 'info', modules: {} }),
  );
  const served = await serve(settings, { loggers, ...deps }, credential);
  return {
    ...served,
    root,
    errors,
    ask: async (line, fields = [], body = '') => {
      const head = [`${line} HTTP/1.1`, 'Host: a', 'Connection: close', ...fields, '', ''];
      return answerOf(await served.raw(head.join('\r\n') + body));
    },
  };
}

export function answerOf(text: string): Answer {
  const end = text.indexOf('\r\n\r\n');
  const head = text.slice(0, end);
  const body = text.slice(end + 4);
  const isChunked = /^transfer-encoding: chunked/im.test(head);
  return { status: Number(head.split(' ')[1]), head, body: isChunked ? unchunked(body) : body };
}

function unchunked(body: string): string {
  let [content, rest] = ['', body];
  for (;;) {
    const [, size = '0'] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? [];
    const length = Number.parseInt(size, 16);
    if (length === 0) return content;
    const start = size.length + 2;
    content += rest.slice(start, start + length);
    rest = rest.slice(start + length + 2);
  }
}

/** Waits for what another process does. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (await holds()) return;
    await delay(20);
  }
  throw new Error(`waited in vain for ${what}`);
}

/** The numbers that a script has written into the file `pids` beside it. */
export async function pidsOf(root: string): Promise<number[]> {
  const file = join(root, 'cgi/pids');
  const read = () => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  await eventually('the numbers of processes', () => read().endsWith('\n'));
  return read().trim().split(' ').map(Number);
}

/** Waits for the end of a process, whether or not its parent has noticed. */
export async function gone(pid: number): Promise<void> {
  await eventually(`the end of process ${pid}`, () => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
    } catch {
      return true;
    }
  });
}
