/**
 * A supervisor in the background. The launcher hands it its input as JSON in argv[2] and waits on the
 * IPC channel for `ready` or an error; after that the two have nothing more to say to each other. A launcher that
 * goes before (^C on a start that hangs) takes its server along: nobody would know of it.
 */
import { explain } from '../../base/errors.ts';
import { ConfigError } from '../../config/errors.ts';
import type { ConfigurationSource } from '../../config/load.ts';
import type { LaunchReport } from '../launch.ts';
import { runSupervisor } from './run.ts';
import { AlreadyRunning } from './supervisor.ts';

const input = JSON.parse(process.argv[2] ?? '{}') as ConfigurationSource;

const abandon = () => process.exit(1);
process.once('disconnect', abandon);
if (process.send && !process.connected) abandon();

try {
  const { ended } = await runSupervisor(input);
  report({ kind: 'ready' });
  await ended;
  process.exit(0);
} catch (error) {
  if (error instanceof AlreadyRunning) report({ kind: 'already-running', message: error.message });
  else report({ kind: 'failed', message: error instanceof ConfigError ? error.report() : explain(error) });
  process.exit(1);
}

function report(message: LaunchReport): void {
  if (!process.send) return;
  process.off('disconnect', abandon);
  process.send(message);
  process.disconnect();
}
