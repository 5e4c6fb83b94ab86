/**
 * What an httpd expression is once parsed: plain data (structured clone carries it), names already checked.
 *
 * All text in it is a byte string: one character per byte, U+0000 to U+00FF, the form in which Node hands
 * over header values. So comparing `é` in a configuration with `é` in a header compares bytes, as httpd does.
 */
import { LatchkeyError } from '../base/errors.ts';

/** An expression with a truth value: `<If>`, `Require expr`, `expr=`. */
export interface Expression {
  readonly source: string;
  readonly root: Condition;
}

/** An expression with a text: `Header set Name expr=…`, `ErrorDocument`. */
export interface StringExpression {
  readonly source: string;
  readonly root: Word;
}

export type Condition =
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'not'; readonly condition: Condition }
  | { readonly kind: 'and'; readonly conditions: readonly Condition[] }
  | { readonly kind: 'or'; readonly conditions: readonly Condition[] }
  | {
      readonly kind: 'compare';
      /** `sized`: as text, the longer one greater than the shorter (SSLRequire). */
      readonly as: 'text' | 'integer' | 'sized';
      readonly operator: Comparison;
      readonly left: Word;
      readonly right: Word;
    }
  | { readonly kind: 'match'; readonly negated: boolean; readonly left: Word; readonly pattern: RegExp }
  | { readonly kind: 'in'; readonly left: Word; readonly list: readonly Word[] }
  | { readonly kind: 'test'; readonly operator: Test; readonly operand: Word }
  | { readonly kind: 'wildcard'; readonly operator: Wildcard; readonly left: Word; readonly right: Word }
  /** `-ipmatch`, or with no `left`, `-R`: the client's address. */
  | { readonly kind: 'network'; readonly left: Word | undefined; readonly network: Network };

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=';

export type Word =
  | { readonly kind: 'text'; readonly value: string }
  /** Upper case, one of `variables` or `SSL_…`. */
  | { readonly kind: 'variable'; readonly name: string }
  /** `$0` to `$9`: groups of the last regular expression that had any and matched. */
  | { readonly kind: 'group'; readonly index: number }
  | { readonly kind: 'call'; readonly name: FunctionName; readonly argument: Word }
  | { readonly kind: 'join'; readonly words: readonly Word[] };

/** An IP literal and how many of its leading bits count. */
export interface Network {
  readonly address: string;
  readonly family: 'ipv4' | 'ipv6';
  readonly prefix: number;
}

export const tests = ['n', 'z', 'T', 'd', 'e', 'f', 's', 'L', 'h', 'x'] as const;
export type Test = (typeof tests)[number];

export const wildcards = ['strmatch', 'strcmatch', 'fnmatch'] as const;
export type Wildcard = (typeof wildcards)[number];

export const functionNames = [
  'req',
  'http',
  'req_novary',
  'resp',
  'reqenv',
  'osenv',
  'note',
  'ssl',
  'env',
  'tolower',
  'toupper',
  'escape',
  'unescape',
  'base64',
  'unbase64',
  'md5',
  'sha1',
] as const;
export type FunctionName = (typeof functionNames)[number];

/** httpd's variables; mod_ssl adds every name that starts with `SSL_`. */
export const variables: ReadonlySet<string> = new Set(
  `HTTP_ACCEPT HTTP_COOKIE HTTP_FORWARDED HTTP_HOST HTTP_PROXY_CONNECTION HTTP_REFERER HTTP_USER_AGENT
  REQUEST_METHOD REQUEST_SCHEME REQUEST_URI DOCUMENT_URI REQUEST_FILENAME SCRIPT_FILENAME LAST_MODIFIED
  SCRIPT_USER SCRIPT_GROUP PATH_INFO QUERY_STRING IS_SUBREQ THE_REQUEST REMOTE_ADDR REMOTE_PORT REMOTE_HOST
  REMOTE_USER REMOTE_IDENT SERVER_NAME SERVER_PORT SERVER_ADMIN SERVER_PROTOCOL DOCUMENT_ROOT AUTH_TYPE
  CONTENT_TYPE HANDLER HTTP2 HTTPS IPV6 REQUEST_STATUS REQUEST_LOG_ID CONN_LOG_ID CONN_REMOTE_ADDR
  CONTEXT_PREFIX CONTEXT_DOCUMENT_ROOT TIME_YEAR TIME_MON TIME_DAY TIME_HOUR TIME_MIN TIME_SEC TIME_WDAY TIME
  SERVER_SOFTWARE API_VERSION`.split(/\s+/),
);

/** An expression that can't be read. The message names the character (counted from 1) and the remedy. */
export class ExpressionSyntaxError extends LatchkeyError<'expression-syntax'> {
  /** Offset into the source, from 0. */
  readonly position: number;

  constructor(position: number, message: string) {
    super('expression-syntax', `Cannot parse condition clause: ${message} (at character ${position + 1})`);
    this.position = position;
  }
}

/** The byte string of a text. */
export function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
