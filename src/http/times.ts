/** Times as `%t` of the access log prints them: local time. */

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/**
 * `format` is what stood in braces: empty for `[22/Nov/2026:06:00:00 +0000]`, `sec`, `msec`, `usec`,
 * `msec_frac`, `usec_frac`, or strftime's directives; `begin:` (default) or `end:` before it says which time.
 * Times are ms since the epoch.
 */
export function httpTime(format: string, begin: number, end: number): string {
  const [, which, rest = ''] = /^(begin:|end:)?(.*)$/s.exec(format) ?? [];
  const time = which === 'end:' ? end : begin;
  if (rest === '') return strftime('[%d/%b/%Y:%H:%M:%S %z]', time);
  return fixed[rest]?.(time) ?? strftime(rest, time);
}

const fixed: Readonly<Record<string, (time: number) => string>> = {
  sec: (time) => String(Math.floor(time / 1000)),
  msec: String,
  usec: (time) => `${time}000`,
  msec_frac: (time) => pad(time % 1000, 3),
  usec_frac: (time) => `${pad(time % 1000, 3)}000`,
};

function strftime(format: string, time: number): string {
  const date = new Date(time);
  return format.replaceAll(/%([A-Za-z%])/g, (whole, letter: string) => parts[letter]?.(date) ?? whole);
}

const parts: Readonly<Record<string, (date: Date) => string>> = {
  '%': () => '%',
  a: (date) => days[date.getDay()] ?? '',
  b: (date) => months[date.getMonth()] ?? '',
  d: (date) => pad(date.getDate()),
  e: (date) => String(date.getDate()).padStart(2),
  F: (date) => strftime('%Y-%m-%d', date.getTime()),
  H: (date) => pad(date.getHours()),
  j: (date) => pad(dayOfYear(date), 3),
  m: (date) => pad(date.getMonth() + 1),
  M: (date) => pad(date.getMinutes()),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  S: (date) => pad(date.getSeconds()),
  T: (date) => strftime('%H:%M:%S', date.getTime()),
  y: (date) => pad(date.getFullYear() % 100),
  Y: (date) => String(date.getFullYear()),
  z: (date) => zone(-date.getTimezoneOffset()),
};

function dayOfYear(date: Date): number {
  const midnight = (month: number, day: number) => Date.UTC(date.getFullYear(), month, day);
  return (midnight(date.getMonth(), date.getDate()) - midnight(0, 0)) / 86_400_000;
}

function zone(minutes: number): string {
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}${pad(size % 60)}`;
}

function pad(value: number, digits = 2): string {
  return String(value).padStart(digits, '0');
}
