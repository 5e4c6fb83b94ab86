/** Entry of the command line. For SIGUSR1 see server/supervisor/main.ts: `-X` makes this the supervisor. */
import { enableCompileCache } from 'node:module';

process.on('SIGUSR1', () => {});
enableCompileCache();

const { run } = await import('./program.ts');
await run(process.argv.slice(2));
