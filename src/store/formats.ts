/** How mod_md writes times, lengths and key types in its JSON documents. */
import type { KeySpec } from '../pki/keyspec.ts';

/** A length of time in ms, or a share of a certificate's life. */
export type Span = { readonly percent: number } | { readonly ms: number };

const units: readonly (readonly [unit: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['mi', 60_000],
  ['s', 1000],
  ['ms', 1],
];

export const dateShape =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3]\d (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} [0-2]\d:[0-5]\d:[0-6]\d GMT$/;

export const spanShape = /^(\d{1,15})(%|d|h|mi|s|ms)?$/;

/** `Thu, 29 Aug 2019 16:06:35 GMT` of ms since the epoch. */
export function formatDate(ms: number): string {
  return new Date(ms).toUTCString();
}

/** Milliseconds since the epoch, or undefined for what is no such date. */
export function parseDate(text: string | undefined): number | undefined {
  if (text === undefined || !dateShape.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

/** `14d`, `10%`, `90mi`: the largest unit that is exact. */
export function formatSpan(span: Span): string {
  if ('percent' in span) return `${span.percent}%`;
  const [unit, size] = units.find(([, size]) => span.ms % size === 0 && span.ms >= size) ?? ['s', 1000];
  return `${Math.round(span.ms / size)}${unit}`;
}

/** A length as `formatSpan` writes it; a bare number is seconds. Undefined for what is none. */
export function parseSpan(text: string): Span | undefined {
  const [, digits, unit = 's'] = spanShape.exec(text) ?? [];
  if (digits === undefined) return undefined;
  if (unit === '%') return { percent: Number(digits) };
  const size = units.find(([name]) => name === unit)?.[1] ?? 1000;
  return { ms: Number(digits) * size };
}

/** A private key as md.json's `privkey` has it. */
export interface PrivkeyDocument {
  readonly type: string;
  readonly bits?: number | undefined;
  readonly curve?: string | undefined;
}

/** One key is an object, several are an array. mod_md leaves the field out where nothing was configured. */
export function formatKeySpecs(specs: readonly KeySpec[]): PrivkeyDocument | PrivkeyDocument[] {
  const documents = specs.map((spec) =>
    spec.type === 'RSA' ? { type: spec.type, bits: spec.bits } : { type: spec.type, curve: spec.name },
  );
  const [first] = documents;
  return first && documents.length === 1 ? first : documents;
}

/** Key specs of md.json; none for an absent field. What is of an unknown type is left out. */
export function parseKeySpecs(privkey: PrivkeyDocument | readonly PrivkeyDocument[] | undefined): KeySpec[] {
  const documents = privkey === undefined ? [] : 'type' in privkey ? [privkey] : privkey;
  return documents.flatMap(({ type, bits, curve }): KeySpec[] => {
    if (type === 'EC') return curve === undefined ? [] : [{ type, name: curve.toLowerCase() }];
    return type === 'RSA' || type === 'Default' ? [{ type: 'RSA', bits: bits ?? 2048 }] : [];
  });
}
