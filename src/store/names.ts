import { maxValue, StoreError } from './store.ts';
import type { Group } from './store.ts';

/**
 * Names and aspects become names of folders and files: printable ASCII without blanks and slashes, not
 * beginning with a dot (`.` and `..`, and what the backends hide), at most 255 bytes (NAME_MAX).
 */
const shape = /^(?!\.)[\x21-\x2e\x30-\x5b\x5d-\x7e]{1,255}$/;

export function isName(text: string): boolean {
  return shape.test(text);
}

/** Rejects names that reach outside the store, or that not every filesystem can hold: StoreError `bad-name`. */
export function checkNames(...names: readonly string[]): void {
  for (const name of names) {
    if (isName(name)) continue;
    throw new StoreError('bad-name', `${JSON.stringify(name.slice(0, 80))} can't be a name in the store`);
  }
}

/** Rejects values beyond the bound: StoreError `too-large`. */
export function checkValue(where: string, value: Buffer | string): void {
  if (Buffer.byteLength(value) <= maxValue) return;
  throw new StoreError('too-large', `${where} would be larger than ${maxValue} bytes`);
}

/** How messages name a value: `domains/example.org/md.json`. */
export function describe(group: Group, name: string, aspect?: string): string {
  return aspect === undefined ? `${group}/${name}` : `${group}/${name}/${aspect}`;
}
