import type { ConfigurationSource } from '../../config/load.ts';
import { Supervisor } from './supervisor.ts';

/**
 * Starts a supervisor and lets the signals of httpd drive it: TERM and INT stop, WINCH stops gracefully, HUP
 * and USR1 reload. Fulfilled when it serves; the promise inside, when it has ended.
 */
export async function runSupervisor(input: ConfigurationSource): Promise<{ readonly ended: Promise<void> }> {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let ending = false;
  let supervisor: Supervisor | undefined;
  let early: 'stop' | undefined;

  const end = (how: 'stop' | 'drain') => {
    if (!supervisor) {
      early = 'stop';
      return;
    }
    // A second TERM during a graceful stop cuts it short.
    if (ending && how === 'drain') return;
    ending = true;
    void supervisor[how]().then(resolve);
  };
  process.on('SIGTERM', () => end('stop'));
  process.on('SIGINT', () => end('stop'));
  process.on('SIGWINCH', () => end('drain'));
  const reload = () => void supervisor?.reload();
  process.on('SIGHUP', reload);
  process.on('SIGUSR1', reload);

  supervisor = await Supervisor.start(input);
  if (early) end(early);
  return { ended };
}
