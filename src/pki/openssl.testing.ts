/** The `openssl` command as a second opinion on what this room writes and reads. */
import { spawnSync } from 'node:child_process';

/** Whether there is one; where not, tests skip with this reason. */
export const withoutOpenssl = spawnSync('openssl', ['version']).error ? 'openssl is not installed' : false;

/** Runs `openssl ARGS` on `input`; both of its outputs as one text. Throws when it exits other than with 0. */
export function openssl(args: readonly string[], input: string | Uint8Array): string {
  const { status, stdout, stderr } = spawnSync('openssl', args, { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
  return stdout + stderr;
}
