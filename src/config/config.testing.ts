/** Configurations for tests: in folders of their own, which go away with the test. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { ConfigError } from './errors.ts';
import { loadConfiguration } from './load.ts';
import type { ConfigurationSource } from './load.ts';
import type { Settings } from './settings.ts';

/** A temporary ServerRoot with these files in it. */
export function folder(t: Pick<TestContext, 'after'>, files: Readonly<Record<string, string>> = {}): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'latchkey-config-')));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

type Options = Partial<ConfigurationSource> & { files?: Readonly<Record<string, string>> };

/** The settings of a configuration that is one file, `t.conf`. */
export function load(t: Pick<TestContext, 'after'>, text: string, options: Options = {}): Settings {
  const { files, ...source } = options;
  const serverRoot = folder(t, { ...files, 't.conf': text });
  const base = { defines: [], before: [], after: [], environment: {} };
  return loadConfiguration({ ...base, file: 't.conf', serverRoot, ...source }).settings;
}

/** The ConfigError of a configuration that is wrong. */
export function refusal(t: Pick<TestContext, 'after'>, text: string, options: Options = {}): ConfigError {
  try {
    load(t, text, options);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}
