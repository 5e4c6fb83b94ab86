/**
 * Connections that come when no descriptor is left are closed by libuv without a word to anybody. So it is
 * tried, now and then, whether there is one.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import { systemCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';

const INTERVAL = 1000;
/** Between two lines in the log. */
const PAUSE = 60_000;

export interface DescriptorWatch {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Takes a descriptor and gives it back; throws the system's error. */
  readonly probe?: () => void;
}

/** Says in the log, once a minute at most, that this process has none left. Fulfilled at the abort. */
export async function watchDescriptors({
  clock,
  logger,
  signal,
  probe = takeOne,
}: DescriptorWatch): Promise<void> {
  // Now, since reading takes one.
  const limit = openFiles();
  for (let pause = INTERVAL; ;) {
    await clock.sleep(pause, { signal }).catch(() => {});
    if (signal.aborted) return;
    pause = INTERVAL;
    try {
      probe();
    } catch (error) {
      const whose = limits[systemCode(error) ?? ''];
      if (whose === undefined) continue;
      logger.error(`connections are refused: ${whose.replace('LIMIT', limit)}`);
      pause = PAUSE;
    }
  }
}

const limits: Readonly<Record<string, string>> = {
  EMFILE:
    'this worker has reached its limit of open files (LIMIT); raise it (LimitNOFILE= of systemd, ulimit -n)',
  ENFILE: 'the system has reached its limit of open files (fs.file-max); raise it',
};

function takeOne(): void {
  closeSync(openSync('/dev/null', 'r'));
}

function openFiles(): string {
  try {
    return /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}
