/** Forms of values that several directives share. They refuse in words; the caller puts its name before. */
import { statSync } from 'node:fs';
import { isIP } from 'node:net';
import { Refusal } from './directive.ts';
import type { Window } from '../domains/settings.ts';

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  mi: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** mod_md's durations: a whole number with `d`, `h`, `mi`, `s` or `ms`. In ms; undefined for other text. */
export function duration(text: string, bareUnit: 'd' | 's'): number | undefined {
  const match = /^(\d+)(ms|s|mi|h|d)?$/i.exec(text);
  const unit = units[match?.[2]?.toLowerCase() ?? bareUnit];
  if (!match || unit === undefined) return undefined;
  const ms = Number(match[1]) * unit;
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** A duration (bare numbers are days) or a percentage below 100. */
export function windowOf(name: string, text: string): Window {
  const percent = /^(\d+)%$/.exec(text)?.[1];
  if (percent !== undefined) {
    if (Number(percent) >= 100) throw new Refusal(`${name} a length of 100% or more is not allowed.`);
    return { percent: Number(percent) };
  }
  const ms = duration(text, 'd');
  if (ms === undefined) throw new Refusal(`${name} has unrecognized format: use 14d, 12h, 30mi, 90s or 33%`);
  return { ms };
}

/** httpd's times: seconds, or with `ms`, `s`, `mi`/`min` or `h`. In ms. */
export function interval(name: string, text: string): number {
  const match = /^(\d+)(ms|s|mi|min|h)?$/i.exec(text);
  if (!match) throw new Refusal(`${name} has wrong format: '${text}'; use seconds, or 500ms, 2min, 1h`);
  const unit = match[2]?.toLowerCase().replace('min', 'mi') ?? 's';
  return Math.min(Number(match[1]) * (units[unit] ?? 1000), Number.MAX_SAFE_INTEGER);
}

export function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new Refusal(`${name} "${text}" must be a whole number from ${least} to ${most}`);
}

export function onOff(text: string): boolean {
  const value = text.toLowerCase();
  if (value === 'on') return true;
  if (value === 'off') return false;
  throw new Refusal(`unknown '${text}', supported parameter values are 'on' and 'off'`);
}

export function portNumber(text: string): number | undefined {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return value >= 1 && value <= 65_535 ? value : undefined;
}

/** `[ADDRESS:]PORT`, an IPv6 address in brackets or not. Undefined for what is none. */
export function addressAndPort(text: string): { address: string | undefined; port: number } | undefined {
  const colon = text.lastIndexOf(':');
  const port = portNumber(text.slice(colon + 1));
  if (port === undefined) return undefined;
  if (colon < 0) return { address: undefined, port };
  const address = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return address === '' ? undefined : { address: address === '*' ? undefined : address, port };
}

/** The same address in one spelling (`0:0::1` is `::1`); what is no IP literal in lower case. */
export function canonicalAddress(address: string): string {
  if (isIP(address) !== 6) return address.toLowerCase();
  const [ip = '', zone] = address.split('%', 2);
  const short = new URL(`http://[${ip}]/`).hostname.slice(1, -1);
  return zone === undefined ? short : `${short}%${zone}`;
}

/** Refuses a file that is not there or has nothing in it. It is not opened: that may need other rights. */
export function nonEmptyFile(name: string, path: string): string {
  let stats;
  try {
    stats = statSync(path, { throwIfNoEntry: false });
  } catch {
    stats = undefined;
  }
  if (stats?.isFile() && stats.size > 0) return path;
  throw new Refusal(`${name}: file '${path}' does not exist or is empty`);
}

/** An http(s) URL of a host, as written. What it says wrong is told without quoting it: it may hold a password. */
export function httpUrl(name: string, text: string): string {
  const [, scheme, rest = ''] = /^([a-z][a-z\d+.-]*):(?:\/\/(.*))?$/i.exec(text) ?? [];
  if (scheme === undefined) throw new Refusal(`${name}: missing uri scheme`);
  if (!/^https?$/i.test(scheme)) throw new Refusal(`${name}: scheme must be http or https`);
  const authority = rest.replace(/[/?#].*$/, '').replace(/^.*@/, '');
  const port = /:([^:\]]*)$/.exec(authority)?.[1];
  if (authority.replace(/:[^:\]]*$/, '') === '') throw new Refusal(`${name}: missing hostname`);
  if (port !== undefined && portNumber(port) === undefined) throw new Refusal(`${name}: invalid port`);
  if (!URL.canParse(text)) throw new Refusal(`${name}: this is no URL`);
  return text;
}
