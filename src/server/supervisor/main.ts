/**
 * Entry of a supervisor in the background. Before anything else SIGUSR1 becomes ours: until there is a listener,
 * Node takes it as a wish to be debugged (and with --disable-sigusr1, no listener would ever hear of it).
 */
process.on('SIGUSR1', () => {});
await import('./background.ts');

export {};
