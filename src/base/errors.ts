/**
 * The one error family. Every failure that Latchkey names is a LatchkeyError with a literal `code`; what
 * caused it hangs on `cause`. Rooms extend it where a failure carries more than a sentence (a configuration
 * error has a file and a line, an ACME error has the CA's problem document).
 *
 * An error's message is for people: it says what is wrong and, where there is one, the remedy. It never holds
 * a private key, a token or a passphrase.
 */
export class LatchkeyError<Code extends string = string> extends Error {
  readonly code: Code;

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The message of anything that was thrown, causes appended, without stacks and without what OpenSSL adds for itself. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = plain(error.message) || error.name;
  if (error.cause === undefined) return own;
  const cause = explain(error.cause);
  return own.includes(cause) ? own : `${own}: ${cause}`;
}

/** OpenSSL's `THREAD:error:CODE:library:function:reason:file:line:` is its reason; Node's advice is for programmers. */
function plain(message: string): string {
  return message
    .replaceAll(/(?:\b[0-9A-F]+:)?error:[0-9A-F]{8}:[^:\n]*:[^:\n]*:([^:\n]+)(?::[^\n]*)?/g, '$1')
    .replace(/; if the root CA is installed locally[^]*$/, '')
    .trim();
}

/** The `code` of a system error (`ENOENT`, `ECONNREFUSED`, …), or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
