/**
 * The JSON documents of a store, field for field as mod_md writes them: dates like
 * `Thu, 29 Aug 2019 16:06:35 GMT`, lengths like `14d` or `33%` (formats.ts), what is at its default absent.
 *
 * Reading is tolerant: fields that are missing get mod_md's defaults, unknown ones are kept, so that
 * `{ ...document, state: 2 }` written back loses nothing. What is no such document at all is StoreError
 * `garbage`, which names it; the caller decides. Writing is strict: nothing that mod_md could not read.
 */
import * as v from 'valibot';
import type { PrivkeyDocument } from './formats.ts';
import { accountSchema, jobSchema, mdSchema, orderSchema, strictJob, strictMd } from './document-schemas.ts';
import { describe } from './names.ts';
import { StoreError } from './store.ts';
import type { Abortable, Group, Store, SaveOptions } from './store.ts';

/** External account binding; `hmac` is a secret. */
export interface EabDocument {
  readonly kid: string;
  readonly hmac: string;
}

/** md.json: a managed domain. */
export interface MdDocument {
  readonly name: string;
  readonly domains: readonly string[];
  readonly contacts: readonly string[];
  /** Whether names of virtual hosts become members: 1 or 0. */
  readonly transitive: number;
  readonly ca: {
    /** Name in the group `accounts`. */
    readonly account?: string | undefined;
    readonly proto?: string | undefined;
    /** The CA in use, of `urls`. */
    readonly url?: string | undefined;
    readonly urls: readonly string[];
    readonly agreement?: string | undefined;
    readonly challenges?: readonly string[] | undefined;
  };
  /** One for a single key, absent when default; see formats.ts. */
  readonly privkey?: PrivkeyDocument | readonly PrivkeyDocument[] | undefined;
  /** 0 unknown, 1 incomplete, 2 complete, 3 expired (deprecated), 4 error, 5 missing information. */
  readonly state: number;
  readonly 'state-descr'?: string | undefined;
  /** 0 manual, 1 auto, 2 always. */
  readonly 'renew-mode': number;
  readonly 'renew-window': string;
  readonly 'warn-window': string;
  readonly 'require-https'?: 'temporary' | 'permanent' | undefined;
  readonly 'must-staple': boolean;
  readonly proto: { readonly 'acme-tls/1': readonly string[] };
  readonly 'cert-files'?: readonly string[] | undefined;
  readonly 'pkey-files'?: readonly string[] | undefined;
  readonly eab?: EabDocument | 'none' | undefined;
  readonly stapling: boolean;
  /** MDChallengeDns01 of this domain. */
  readonly 'cmd-dns-01'?: string | undefined;
  readonly profile?: string | undefined;
  readonly 'profile-mandatory': boolean;
  readonly 'ari-renewals': boolean;
  readonly 'proxy-url'?: string | undefined;
}

/** A job's status where no errno fits: apr's APR_EGENERAL, as mod_md has it. */
export const EGENERAL = 20_014;

/** What the last run of a job came to. */
export interface JobResultDocument {
  /** Like errno; 0 for success. */
  readonly status: number;
  readonly 'status-description'?: string | undefined;
  /** URN of the problem's type. */
  readonly problem?: string | undefined;
  readonly detail?: string | undefined;
  readonly activity?: string | undefined;
  readonly subproblems?: readonly unknown[] | undefined;
  /** Ours: what can be done about it, where its type doesn't say. */
  readonly remedy?: string | undefined;
  readonly 'valid-from'?: string | undefined;
}

export interface JobLogEntryDocument {
  readonly when: string;
  readonly type: string;
  readonly status?: string | undefined;
  readonly detail?: string | undefined;
}

/** job.json: the state of a renewal. */
export interface JobDocument {
  readonly name: string;
  readonly finished: boolean;
  readonly notified: boolean;
  readonly 'notified-renewed': boolean;
  readonly 'next-run'?: string | undefined;
  readonly 'last-run'?: string | undefined;
  readonly 'valid-from'?: string | undefined;
  readonly errors: number;
  readonly last?: JobResultDocument | undefined;
  /** Ours: whether a command has still to be told of the renewal, and when which event was last told. */
  readonly hooks?:
    | { readonly 'owes-notice': boolean; readonly told: Readonly<Record<string, string>> }
    | undefined;
  /** Newest first. */
  readonly log: { readonly entries: readonly JobLogEntryDocument[] };
}

/** account.json: an account with a CA; account.pem beside it is its key. */
export interface AccountDocument {
  readonly status: string;
  readonly url: string;
  readonly 'ca-url': string;
  readonly contact: readonly string[];
  /** The CA's own words on it. */
  readonly registration?: Readonly<Record<string, unknown>> | undefined;
  readonly agreement?: string | undefined;
  readonly orders?: string | undefined;
  readonly eab?: EabDocument | undefined;
}

/** order.json: an order under way. */
export interface OrderDocument {
  readonly url: string;
  readonly status: string;
  readonly authorizations: readonly string[];
  /** `TYPE:DNS` of what is to be taken down. */
  readonly 'challenge-setups': readonly string[];
  readonly finalize?: string | undefined;
  readonly certificate?: string | undefined;
  /** Ours: the URL of the account that has placed it. */
  readonly account?: string | undefined;
}

interface Kind<Document> {
  readonly aspect: string;
  readonly tolerant: v.GenericSchema<unknown, Document>;
  readonly strict: v.GenericSchema<unknown, Document>;
}

const md: Kind<MdDocument> = { aspect: 'md.json', tolerant: mdSchema, strict: strictMd };
const job: Kind<JobDocument> = { aspect: 'job.json', tolerant: jobSchema, strict: strictJob };
const account: Kind<AccountDocument> = {
  aspect: 'account.json',
  tolerant: accountSchema,
  strict: accountSchema,
};
const order: Kind<OrderDocument> = { aspect: 'order.json', tolerant: orderSchema, strict: orderSchema };

/** Reads GROUP/NAME's document: undefined where there is none. */
type Read<Document> = (
  store: Store,
  group: Group,
  name: string,
  options?: Abortable,
) => Promise<Document | undefined>;

/** Writes GROUP/NAME's document: StoreError `garbage` for what doesn't belong in one. */
type Write<Document> = (
  store: Store,
  group: Group,
  name: string,
  document: Document,
  options?: SaveOptions,
) => Promise<void>;

export const readMd: Read<MdDocument> = reader(md);
export const writeMd: Write<MdDocument> = writer(md);
export const readJob: Read<JobDocument> = reader(job, true);
export const writeJob: Write<JobDocument> = writer(job);
export const readAccount: Read<AccountDocument> = reader(account, true);
export const writeAccount: Write<AccountDocument> = writer(account);
export const readOrder: Read<OrderDocument> = reader(order, true);
export const writeOrder: Write<OrderDocument> = writer(order);

/** A managed domain of which nothing is known but its names: all else is at its default. */
export function bareMd(name: string, domains: readonly string[]): MdDocument {
  return v.parse(mdSchema, { name, domains });
}

/** md.json's text: for files that become part of a set by Store.activate(). */
export function encodeMd(document: MdDocument): string {
  return encode(md, document, 'md.json');
}

/** job.json's text, likewise. */
export function encodeJob(document: JobDocument): string {
  return encode(job, document, 'job.json');
}

/** `emptyIsNone`: a power cut may leave that of what is not always saved to last. */
function reader<Document>(kind: Kind<Document>, emptyIsNone = false): Read<Document> {
  return async (store, group, name, options) => {
    const bytes = await store.load(group, name, kind.aspect, options);
    if (!bytes || (bytes.length === 0 && emptyIsNone)) return undefined;
    return parse(kind, bytes, describe(group, name, kind.aspect));
  };
}

function writer<Document>(kind: Kind<Document>): Write<Document> {
  return async (store, group, name, document, options) => {
    const text = encode(kind, document, describe(group, name, kind.aspect));
    await store.save(group, name, kind.aspect, text, options);
  };
}

function parse<Document>(kind: Kind<Document>, bytes: Buffer, where: string): Document {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), kind.tolerant), bytes.toString());
  if (result.success) return result.output;
  throw new StoreError('garbage', `${where} is not what it should be: ${flaws(result.issues)}`);
}

function encode<Document>(kind: Kind<Document>, document: Document, where: string): string {
  const result = v.safeParse(kind.strict, document);
  if (!result.success) throw new StoreError('garbage', `${where} can't hold this: ${flaws(result.issues)}`);
  return JSON.stringify(result.output, undefined, 2);
}

/** Which fields are wrong: names only, since values may be secrets. */
function flaws(issues: readonly v.BaseIssue<unknown>[]): string {
  const paths = issues.map((issue) => v.getDotPath(issue) ?? 'the whole');
  return `wrong ${[...new Set(paths)].slice(0, 5).join(', ')}`;
}
