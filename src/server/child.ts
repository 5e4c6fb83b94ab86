/** What the engine and the workers have in common: they end with the supervisor, and not before. */

/** Signals that a terminal or a script sends to the whole process group are the supervisor's to act on. */
export function endWithParent(): void {
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGWINCH'] as const) process.on(signal, () => {});
  process.on('disconnect', () => process.exit(0));
}
