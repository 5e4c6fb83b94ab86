/** `-k start|stop|restart|graceful|graceful-stop` and `-X`, with httpd's messages and exit codes. */
import { systemCode } from '../base/errors.ts';
import { awaitEnd, awaitReload, awaitStopping, launch } from '../server/launch.ts';
import { runningServer } from '../server/pidfile.ts';
import { readReloadState } from '../server/reload-state.ts';
import type { Where } from './where.ts';

const SIGNALS: Readonly<Record<string, NodeJS.Signals>> = {
  stop: 'SIGTERM',
  'graceful-stop': 'SIGWINCH',
  restart: 'SIGHUP',
  graceful: 'SIGUSR1',
};

/** Runs the server in this process until it is stopped. */
export async function foreground(where: Where): Promise<void> {
  const { runSupervisor } = await import('../server/supervisor/run.ts');
  const { AlreadyRunning } = await import('../server/supervisor/supervisor.ts');
  try {
    const { ended } = await runSupervisor(where);
    await ended;
    process.exit(0);
  } catch (error) {
    if (!(error instanceof AlreadyRunning)) throw error;
    process.stdout.write(`${error.message}\n`);
  }
}

/** Starts a server in the background, or sends a running one what `action` means. */
export async function signal(where: Where, action: string): Promise<void> {
  if (action === 'start') return start(where);
  const pidFile = await pidFileOf(where);
  const running = runningServer(pidFile);
  const stops = action === 'stop' || action === 'graceful-stop';
  if (!running) {
    if (stops) return say('httpd (no pid file) not running');
    say('httpd not running, trying to start');
    return start(where);
  }
  if (!stops) return reload(where, pidFile, () => send(running.pid, action));
  send(running.pid, action);
  if (action === 'stop' && !(await awaitEnd(running.pid))) {
    throw new Error(`the server (pid ${running.pid}) did not end; 'kill -9 ${running.pid}' ends it`);
  }
  if (action === 'graceful-stop') await awaitStopping(pidFile, running.pid);
}

function send(pid: number, action: string): void {
  try {
    process.kill(pid, SIGNALS[action]);
  } catch (error) {
    if (systemCode(error) !== 'EPERM') throw error;
    throw new Error(`the server (pid ${pid}) belongs to another user: try as root`, { cause: error });
  }
}

async function start(where: Where): Promise<void> {
  const report = await launch(where);
  if (report.kind === 'failed') {
    process.stderr.write(`${report.message}\n`);
    process.exitCode = 1;
  }
  if (report.kind === 'already-running') say(report.message);
}

/**
 * What -t would refuse is refused here, where its author can read why in the usual form; what only the server
 * can know (that a port is taken, say), it is waited for.
 */
async function reload(where: Where, pidFile: string, ask: () => void): Promise<void> {
  const { validSettings } = await import('./check.ts');
  validSettings(where);
  const before = readReloadState(pidFile);
  ask();
  const after = await awaitReload(pidFile, before.asked + 1);
  if (!after) throw new Error('the server has not said what came of the reload; its error log may tell');
  if (after.problem !== undefined) throw new Error(after.problem);
}

async function pidFileOf(where: Where): Promise<string> {
  const { readPidFileSetting } = await import('../config/load.ts');
  return readPidFileSetting(where).pidFile;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
