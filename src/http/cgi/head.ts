/** The head of a script's output (RFC 3875 section 6): bounded, and nothing of it believed that isn't well-formed. */
import { LatchkeyError } from '../../base/errors.ts';

/** Bytes that a head may have, and fields. */
const LARGEST = 65_536;
const MOST_FIELDS = 200;

export interface ScriptHead {
  /** `Status:`; undefined where the script says none. */
  readonly status: number | undefined;
  readonly reason: string | undefined;
  readonly location: string | undefined;
  /** In bytes; undefined where the script doesn't say. */
  readonly length: number | undefined;
  /** All others, names as written. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** What a script says can't be passed on. The message is the log's. */
export class ScriptOutputError extends LatchkeyError<'script-output'> {
  constructor(message: string) {
    super('script-output', message);
  }
}

/** Takes output piece by piece until the head is whole. */
export class HeadReader {
  #bytes: Buffer = Buffer.alloc(0);

  /** @throws ScriptOutputError */
  push(chunk: Buffer): { readonly head: ScriptHead; readonly rest: Buffer } | undefined {
    const searched = Math.max(0, this.#bytes.length - 2);
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const end = endOf(this.#bytes, searched);
    if ((end?.start ?? this.#bytes.length) > LARGEST) {
      throw new ScriptOutputError(`a head of more than ${LARGEST} bytes`);
    }
    if (!end) return undefined;
    const text = this.#bytes.toString('latin1', 0, end.start);
    return { head: parseHead(text), rest: this.#bytes.subarray(end.next) };
  }
}

/** An empty line, by line feeds with or without carriage returns. */
function endOf(bytes: Buffer, from: number): { readonly start: number; readonly next: number } | undefined {
  for (let line = from; ;) {
    const feed = bytes.indexOf(0x0a, line);
    if (feed === -1) return undefined;
    const begin = bytes.lastIndexOf(0x0a, feed - 1) + 1;
    const isEmpty = feed === begin || (feed === begin + 1 && bytes[begin] === 0x0d);
    if (feed === 0 || isEmpty) return { start: feed === 0 ? 0 : begin, next: feed + 1 };
    line = feed + 1;
  }
}

function parseHead(text: string): ScriptHead {
  const lines = text.split('\n').filter((line) => line !== '');
  if (lines.length > MOST_FIELDS) throw new ScriptOutputError(`a head of more than ${MOST_FIELDS} fields`);
  const all = lines.map(parseField);
  const last = (name: string) => all.findLast(([each]) => each.toLowerCase() === name)?.[1];
  return {
    ...parseStatus(last('status')),
    location: last('location'),
    length: parseLength(last('content-length')),
    fields: all.filter(([name]) => !/^(?:status|location|content-length)$/i.test(name)),
  };
}

function parseField(line: string): readonly [name: string, value: string] {
  const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*\r?$/.exec(line) ?? [];
  // oxlint-disable-next-line eslint/no-control-regex -- control characters are what is looked for
  if (name === undefined || value === undefined || /[\0-\x08\x0a-\x1f\x7f]/.test(value)) {
    throw new ScriptOutputError(`malformed header: Bad header: ${line.slice(0, 80)}`);
  }
  return [name, value];
}

function parseStatus(text: string | undefined): Pick<ScriptHead, 'status' | 'reason'> {
  if (text === undefined) return { status: undefined, reason: undefined };
  const [, code, reason = ''] = /^([2-5]\d\d)(?: (.*))?$/.exec(text) ?? [];
  if (code === undefined)
    throw new ScriptOutputError(`malformed header: Bad header: Status: ${text.slice(0, 80)}`);
  return { status: Number(code), reason: reason === '' ? undefined : reason };
}

function parseLength(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw new ScriptOutputError(`malformed header: Bad header: Content-Length: ${text.slice(0, 80)}`);
  }
  return Number(text);
}
