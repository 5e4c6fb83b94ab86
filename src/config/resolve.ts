import { execFileSync } from 'node:child_process';
import { isIP } from 'node:net';

/** A name server that does not answer must not keep the start waiting. */
const PATIENCE = 5000;

const program = `require('dns').lookup(process.argv[1], { all: true }, (error, found) => {
  if (error) process.exit(1);
  process.stdout.write(found.map((a) => a.address).join('\\n'));
})`;

/**
 * The addresses of a host name in Listen or `<VirtualHost>`; none if there are none. Node has no synchronous
 * look-up and reading the configuration is synchronous, so a child process asks. Names there are rare.
 */
export function resolveName(name: string): readonly string[] {
  if (name.toLowerCase() === 'localhost') return ['127.0.0.1', '::1'];
  if (!/^[\w.-]+$/.test(name)) return [];
  try {
    const output = execFileSync(process.execPath, ['-e', program, '--', name], {
      encoding: 'utf8',
      timeout: PATIENCE,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return output.split('\n').filter((line) => isIP(line) !== 0);
  } catch {
    return [];
  }
}
