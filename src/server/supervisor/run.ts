import type { ConfigurationSource } from '../../config/load.ts';
import { Supervisor } from './supervisor.ts';

/**
 * Starts a supervisor and lets the signals of httpd drive it: TERM and INT stop, WINCH stops gracefully, HUP
 * and USR1 reload. Fulfilled when it serves; the promise inside, when it has ended.
 */
export async function runSupervisor(input: ConfigurationSource): Promise<{ readonly ended: Promise<void> }> {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  // Signals that come while it starts wait for that; of a start that fails nothing is left to signal.
  const started = Supervisor.start(input);
  const tell = (act: (supervisor: Supervisor) => Promise<void>) => started.then(act, () => {});
  let ending: 'stop' | 'drain' | undefined;
  const end = (how: 'stop' | 'drain') => {
    // TERM during a graceful stop cuts it short; the other way round there is nothing to soften.
    if (ending === 'stop' || ending === how) return;
    ending = how;
    void tell((supervisor) => supervisor[how]()).then(resolve);
  };
  const reload = () => void tell((supervisor) => supervisor.reload());
  process.on('SIGTERM', () => end('stop'));
  process.on('SIGINT', () => end('stop'));
  process.on('SIGWINCH', () => end('drain'));
  process.on('SIGHUP', reload);
  process.on('SIGUSR1', reload);
  await started;
  return { ended };
}
