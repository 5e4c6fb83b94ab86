/** A CA in a process of its own, for tests that kill it: `node serve.testing.ts SETTINGS-AS-JSON`. */
import { systemClock } from '../base/clock.ts';
import { silent } from '../base/log.ts';
import { startLocalCa } from './server.ts';
import type { LocalCaSettings } from './settings.ts';

const settings = JSON.parse(process.argv[2] ?? '') as LocalCaSettings;
const { directoryUrl, rootPem } = await startLocalCa(settings, { clock: systemClock, loggers: silent });
process.stdout.write(`${JSON.stringify({ directoryUrl, rootPem })}\n`);
