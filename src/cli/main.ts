/** Entry of the command line. For SIGUSR1 see server/supervisor/main.ts: `-X` makes this the supervisor. */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

process.on('SIGUSR1', () => {});

// Who reads through `| head` has seen enough; who has closed stderr wants to hear nothing.
process.stdout.on('error', () => process.exit());
process.stderr.on('error', () => {});

// Beside the program, and not in /tmp, where another user could have put compiled code for root to run. The
// environment hands it on to the processes that this one starts.
const cache = fileURLToPath(new URL('../../.cache/compiled', import.meta.url));
enableCompileCache(cache);
process.env['NODE_COMPILE_CACHE'] = cache;

const { run } = await import('./program.ts');
await run(process.argv.slice(2));
