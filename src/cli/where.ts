import type { ConfigurationSource } from '../config/load.ts';

/** Which server a command is about: the options that say where its configuration is. */
export type Where = ConfigurationSource;

/** As httpd's: relative to the ServerRoot. */
export const DEFAULT_CONFIGURATION = 'conf/httpd.conf';
