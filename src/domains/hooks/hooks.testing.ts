/** Commands of an administrator's for tests: scripts that write down what they are told. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

export class HookScript {
  readonly dir: string;
  readonly file: string;

  constructor(t: Pick<TestContext, 'after'>) {
    this.dir = mkdtempSync(join(tmpdir(), 'latchkey-hooks-'));
    t.after(() => rmSync(this.dir, { recursive: true, force: true }));
    this.file = join(this.dir, 'hook');
    this.write(
      `echo "$@" >>"${this.dir}/told"
for word in $(cat "${this.dir}/refuse" 2>/dev/null); do
  case " $* " in *" $word"*) echo "no $word today" >&2; exit 7;; esac
done`,
    );
  }

  /** What the command does instead. */
  write(text: string): void {
    writeFileSync(this.file, `#!/bin/sh\n${text}\n`);
    chmodSync(this.file, 0o755);
  }

  /** Fails from now on where an argument begins with one of these. */
  refuse(...words: string[]): void {
    writeFileSync(join(this.dir, 'refuse'), words.join('\n'));
  }

  /** Its arguments, one line for each call. */
  told(): string[] {
    const file = join(this.dir, 'told');
    return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
  }
}

/** Other processes need real time. The test's own limit ends a wait in vain. */
export async function soon(done: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await done())) await delay(5);
}
