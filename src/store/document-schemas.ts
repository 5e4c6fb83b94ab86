/**
 * What documents.ts accepts (see there): tolerant schemas for reading, strict ones for writing. Fields stand in
 * mod_md's order, and are written in it.
 */
import * as v from 'valibot';
import { dateShape, formatSpan, spanShape } from './formats.ts';

const text = v.string();
const maybeText = v.optional(text);
const texts = v.optional(v.array(text), () => []);
const maybeTexts = v.optional(v.array(text));
const no = v.optional(v.boolean(), false);
const eab = v.looseObject({ kid: text, hmac: text });
const privkey = v.looseObject({ type: text, bits: v.optional(v.number()), curve: maybeText });
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Old stores have seconds as a number. */
const span = v.union([
  v.pipe(
    v.number(),
    v.transform((s) => formatSpan({ ms: s * 1000 })),
  ),
  text,
]);
const strictSpan = v.pipe(text, v.regex(spanShape));
const strictDate = v.optional(v.pipe(text, v.regex(dateShape)));

const ca = v.looseObject({
  account: maybeText,
  proto: maybeText,
  url: maybeText,
  urls: maybeTexts,
  agreement: maybeText,
  challenges: maybeTexts,
});

/** Before there were several CAs, `url` stood alone. */
const knownCa = v.pipe(
  ca,
  v.transform((known) => ({ ...known, urls: known.urls ?? (known.url === undefined ? [] : [known.url]) })),
);

const mdEntries = {
  name: v.pipe(text, v.nonEmpty()),
  domains: texts,
  contacts: texts,
  transitive: v.optional(v.pipe(v.union([v.number(), v.boolean()]), v.transform(Number)), 1),
  ca: v.optional(knownCa, {}),
  privkey: v.optional(v.union([v.array(privkey), privkey])),
  state: v.optional(v.pipe(v.number(), v.integer()), 0),
  'state-descr': maybeText,
  'renew-mode': v.optional(v.pipe(v.number(), v.integer()), 1),
  'renew-window': v.optional(span, '33%'),
  'warn-window': v.optional(span, '10%'),
  'require-https': v.fallback(v.optional(v.picklist(['temporary', 'permanent'])), undefined),
  'must-staple': no,
  proto: v.optional(v.looseObject({ 'acme-tls/1': texts }), {}),
  'cert-files': maybeTexts,
  'pkey-files': maybeTexts,
  eab: v.optional(v.union([eab, v.literal('none')])),
  stapling: no,
  'cmd-dns-01': maybeText,
  profile: maybeText,
  'profile-mandatory': no,
  'ari-renewals': v.optional(v.boolean(), true),
  'proxy-url': maybeText,
};

export const mdSchema = v.looseObject(mdEntries);

/** Writing, empty lists that mod_md leaves out are left out. */
export const strictMd = v.looseObject({
  ...mdEntries,
  domains: v.array(text),
  ca: v.pipe(
    ca,
    v.transform(({ challenges, ...known }) => ({
      ...known,
      urls: known.urls ?? [],
      ...(challenges?.length ? { challenges } : {}),
    })),
  ),
  privkey: v.optional(
    v.union([
      v.pipe(
        v.array(privkey),
        v.transform((keys) => (keys.length > 1 ? keys : keys[0])),
      ),
      privkey,
    ]),
  ),
  state: v.picklist([0, 1, 2, 3, 4, 5]),
  'renew-mode': v.picklist([0, 1, 2]),
  'renew-window': strictSpan,
  'warn-window': strictSpan,
  'require-https': v.optional(v.picklist(['temporary', 'permanent'])),
});

const resultEntries = {
  status: v.optional(v.pipe(v.number(), v.integer()), 0),
  'status-description': maybeText,
  problem: maybeText,
  detail: maybeText,
  activity: maybeText,
  subproblems: v.optional(v.array(v.unknown())),
  remedy: maybeText,
  'valid-from': maybeText,
};

const entryEntries = { when: text, type: text, status: maybeText, detail: maybeText };

const jobEntries = {
  name: text,
  finished: no,
  notified: no,
  'notified-renewed': no,
  'next-run': maybeText,
  'last-run': maybeText,
  'valid-from': maybeText,
  errors: v.optional(count, 0),
  last: v.optional(v.looseObject(resultEntries)),
  hooks: v.fallback(
    v.optional(v.object({ 'owes-notice': v.boolean(), told: v.record(text, text) })),
    undefined,
  ),
  log: v.optional(v.looseObject({ entries: v.optional(v.array(v.looseObject(entryEntries)), () => []) }), {}),
};

export const jobSchema = v.looseObject({
  ...jobEntries,
  // An OCSP job of mod_md has no name.
  name: v.optional(text, ''),
});

export const strictJob = v.looseObject({
  ...jobEntries,
  'next-run': strictDate,
  'last-run': strictDate,
  'valid-from': strictDate,
  last: v.optional(v.looseObject({ ...resultEntries, 'valid-from': strictDate })),
  log: v.looseObject({
    entries: v.array(v.looseObject({ ...entryEntries, when: v.pipe(text, v.regex(dateShape)) })),
  }),
});

export const accountSchema = v.looseObject({
  status: v.optional(text, 'unknown'),
  url: text,
  'ca-url': text,
  contact: texts,
  registration: v.optional(v.record(text, v.unknown())),
  agreement: maybeText,
  orders: maybeText,
  eab: v.optional(eab),
});

export const orderSchema = v.looseObject({
  url: text,
  status: v.optional(text, 'unknown'),
  authorizations: texts,
  'challenge-setups': texts,
  finalize: maybeText,
  certificate: maybeText,
  account: maybeText,
});
