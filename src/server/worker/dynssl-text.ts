/** The text of dynssl-status, line by line as mod_dynssl prints it. */
import type { SourceStatus } from '../../certificates/source.ts';
import type { DynamicStoreSettings } from '../../certificates/sources/settings.ts';
import type { NamesStatus } from '../calls.ts';

const MEGABYTE = 2 ** 20;
const DAY = 86_400_000;
/** What an entry is taken to need while there is none: mod_dynssl's slot. */
const USUAL_ENTRY = 10_560;

export function dynsslStatus(status: NamesStatus, now: number): string {
  const stores = status.stores.flatMap(({ settings, urls }) => urls.map((url) => ({ settings, url })));
  const parts = [
    'mod_dynssl status\n========================================\n',
    cache(status, now),
    ...stores.flatMap(({ settings, url }) => [breaker(status.pid, url), store(settings, url)]),
  ];
  return parts.join('\n');
}

function cache(status: NamesStatus, now: number): string {
  const { entries, bytes, maxBytes, flushes, stores, sample } = status;
  const size = entries === 0 ? USUAL_ENTRY : Math.ceil(bytes / entries);
  const [first] = stores;
  const shown = sample.map(({ name }) => name.length + 2);
  const width = Math.max(0, ...shown);
  const lines = sample.map(
    ({ name, refetchAt, notAfter }) =>
      `    ${`[${name}]`.padEnd(width)} re-fetch ${distance(refetchAt - now)}  cert expires ${distance(notAfter - now)}\n`,
  );
  return `Shared Cache
  entries      : ${entries} / ${Math.floor(maxBytes / size)}
  shm_size     : ${Math.round(maxBytes / MEGABYTE)} MB
  slot_size    : ${size} bytes
  min_ttl      : ${(first?.settings.cacheFloor ?? 0) / 1000}s
  renew_buffer : ${(first?.settings.renewBefore ?? 0) / DAY} days
  flush_gen    : all=${flushes.all} domain=${flushes.single}
  flush_domain : ${flushes.lastName ?? '(none)'}

  Cached domains (sample, up to 20):
${lines.join('')}`;
}

function breaker(pid: number, { breaker: { state, failures, limit, reset } }: SourceStatus): string {
  return `Circuit Breaker (pid ${pid})
  status     : ${state}
  failures   : ${failures} / ${limit}
  reset after: ${reset / 1000}s
`;
}

function store({ token, timeout }: DynamicStoreSettings, { url }: SourceStatus): string {
  return `Store
  url     : ${url}
  auth    : ${token === undefined ? 'none' : 'Bearer'}
  timeout : ${timeout}ms
`;
}

/** `in 83d`, `in 4h`, `now`. */
function distance(ms: number): string {
  if (ms <= 0) return 'now';
  const units = [
    [DAY, 'd'],
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1000, 's'],
  ] as const;
  const [unit, letter] = units.find(([length]) => ms >= length) ?? [1000, 's'];
  return `in ${Math.floor(ms / unit)}${letter}`;
}
