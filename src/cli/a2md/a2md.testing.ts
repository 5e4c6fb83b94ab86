/** a2md as scripts run it, in this process. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { a2md } from './a2md.ts';

export interface ShownMd {
  readonly name: string;
  readonly domains: readonly string[];
  readonly contacts: readonly string[];
  readonly ca: Readonly<Record<string, unknown>>;
  readonly state: number;
  readonly renew?: boolean;
}

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The document of `-j`. */
  readonly json: { readonly status: number; readonly description?: string; readonly output: ShownMd[] };
}

export class A2md {
  readonly dir: string;
  readonly options: readonly string[];

  constructor(dir: string, options: readonly string[]) {
    this.dir = dir;
    this.options = options;
  }

  /** With `-d`, `-j` and the options of the object. */
  async run(...args: readonly string[]): Promise<Result> {
    return this.bare('-j', ...this.options, ...args);
  }

  /** As run(), of what has to succeed: its only managed domain. */
  async one(...args: readonly string[]): Promise<ShownMd> {
    const { code, json, stderr } = await this.run(...args);
    assert.equal(code, 0, stderr);
    assert.equal(json.output.length, 1);
    const [md] = json.output;
    assert.ok(md);
    return md;
  }

  /** With `-d` only. */
  async bare(...args: readonly string[]): Promise<Result> {
    let [stdout, stderr] = ['', ''];
    const code = await a2md(['-d', this.dir, ...args], {
      out: (text) => (stdout += text),
      err: (text) => (stderr += text),
    });
    return {
      code,
      stdout,
      stderr,
      get json() {
        return JSON.parse(stdout) as Result['json'];
      },
    };
  }
}

/** On an empty folder that goes with the test. */
export async function emptyStore(t: TestContext, ...options: readonly string[]): Promise<A2md> {
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-a2md-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return new A2md(join(dir, 'md'), options);
}
