/**
 * Reading a ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2) off the wire before TLS begins, to choose
 * by it. It may come in any number of TCP segments and TLS records. Only what a choice needs is read; whether the
 * rest is right is for OpenSSL to say, who sees the same bytes afterwards.
 */

export interface ClientHello {
  /** `legacy_version`: 0x0303 for TLS 1.2 and later. */
  readonly legacyVersion: number;
  /** Code points, in the client's order, GREASE (RFC 8701) left out, as in all lists here. */
  readonly cipherSuites: readonly number[];
  /** From `supported_versions`; [legacyVersion] without that extension. */
  readonly supportedVersions: readonly number[];
  /** `supported_groups`. */
  readonly groups: readonly number[];
  readonly signatureAlgorithms: readonly number[];
  /** `signature_algorithms_cert`; undefined where not sent. */
  readonly signatureAlgorithmsCert: readonly number[] | undefined;
  /** Protocol names in the client's order, octets as Latin-1. */
  readonly alpn: readonly string[];
  /** The host name, lower case, a valid DNS name; undefined where none was sent or it isn't one. */
  readonly sni: string | undefined;
  /** A server_name was sent that is no DNS name: NUL in it, over-long, not letters, digits, hyphens and dots. */
  readonly sniInvalid: boolean;
  /** The client wants a stapled OCSP response. */
  readonly statusRequest: boolean;
  /** The client offers to resume: a session ticket (TLS 1.2) or a pre-shared key (TLS 1.3). */
  readonly resumes: boolean;
  /** The client knows of RFC 5746: `renegotiation_info`, or its signalling cipher suite. */
  readonly secureRenegotiation: boolean;
}

export type Peek =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'hello'; readonly hello: ClientHello }
  /** `not-tls`: the first octet is not a handshake record's. */
  | { readonly kind: 'invalid'; readonly reason: 'not-tls' | 'malformed' | 'too-long' };

const INCOMPLETE: Peek = { kind: 'incomplete' };
const NOTHING = Buffer.alloc(0);
const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
/** RFC 8446 section 5.1. */
const LONGEST_RECORD = 2 ** 14;
const MESSAGE_HEADER = 4;

export interface PeekLimits {
  /** Octets on the wire at most, record headers included. Default 64 KiB. */
  readonly size?: number;
}

/**
 * Takes what arrives, piece by piece, in time proportional to its length. After a result other than `incomplete`
 * it takes nothing more.
 */
export class ClientHelloReader {
  readonly #limit: number;
  #taken = 0;
  #header = NOTHING;
  #headerLength = 0;
  #recordLeft = 0;
  /** The handshake message so far, its own header first; grows to what that header announces. */
  #message = NOTHING;
  #messageLength = 0;

  constructor({ size = 2 ** 16 }: PeekLimits = {}) {
    this.#limit = size;
  }

  push(chunk: Buffer): Peek {
    if (this.#taken === 0) {
      const whole = this.#wholeIn(chunk);
      if (whole) return understood(parseClientHello(whole));
      this.#header = Buffer.alloc(RECORD_HEADER);
      this.#message = Buffer.alloc(512);
    }
    let rest = chunk.subarray(0, this.#limit - this.#taken);
    this.#taken += rest.length;
    while (rest.length > 0) {
      const consumed = this.#recordLeft > 0 ? this.#takeBody(rest) : this.#takeHeader(rest);
      if (typeof consumed !== 'number') return consumed;
      rest = rest.subarray(consumed);
    }
    return this.#taken === this.#limit ? invalid('too-long') : INCOMPLETE;
  }

  /** The message of a chunk that is just one record with just one ClientHello: nearly all are, and need no copying. */
  #wholeIn(chunk: Buffer): Buffer | undefined {
    const start = RECORD_HEADER + MESSAGE_HEADER;
    if (chunk.length < start || chunk.length > Math.min(this.#limit, LONGEST_RECORD)) return undefined;
    if (chunk[0] !== HANDSHAKE_RECORD || chunk[1] !== 3 || chunk[RECORD_HEADER] !== CLIENT_HELLO)
      return undefined;
    if (chunk.readUInt16BE(3) !== chunk.length - RECORD_HEADER) return undefined;
    return chunk.readUIntBE(RECORD_HEADER + 1, 3) === chunk.length - start
      ? chunk.subarray(start)
      : undefined;
  }

  #takeHeader(chunk: Buffer): number | Peek {
    const taken = chunk.copy(this.#header, this.#headerLength, 0, RECORD_HEADER - this.#headerLength);
    this.#headerLength += taken;
    if (this.#header[0] !== HANDSHAKE_RECORD) return invalid('not-tls');
    if (this.#headerLength > 1 && this.#header[1] !== 3) return invalid('malformed');
    if (this.#headerLength < RECORD_HEADER) return taken;
    const length = this.#header.readUInt16BE(3);
    // An empty handshake record is forbidden (RFC 8446 section 5.1), and would be a way to be busy for nothing.
    if (length === 0 || length > LONGEST_RECORD) return invalid('malformed');
    this.#headerLength = 0;
    this.#recordLeft = length;
    return taken;
  }

  #takeBody(chunk: Buffer): number | Peek {
    const part = chunk.subarray(0, this.#recordLeft);
    this.#recordLeft -= part.length;
    const length = this.#messageLength + part.length;
    if (length > this.#message.length) this.#grow(length);
    this.#messageLength += part.copy(this.#message, this.#messageLength);
    if (this.#message[0] !== CLIENT_HELLO) return invalid('malformed');
    if (this.#messageLength < MESSAGE_HEADER) return part.length;
    const end = MESSAGE_HEADER + this.#message.readUIntBE(1, 3);
    if (end > this.#limit) return invalid('too-long');
    if (this.#messageLength < end) return part.length;
    return understood(parseClientHello(this.#message.subarray(MESSAGE_HEADER, end)));
  }

  #grow(length: number): void {
    const larger = Buffer.alloc(Math.max(length, 2 * this.#message.length));
    this.#message.copy(larger, 0, 0, this.#messageLength);
    this.#message = larger;
  }
}

function understood(hello: ClientHello | undefined): Peek {
  return hello ? { kind: 'hello', hello } : invalid('malformed');
}

function invalid(reason: 'not-tls' | 'malformed' | 'too-long'): Peek {
  return { kind: 'invalid', reason };
}

/** The body of a ClientHello message; undefined where its structure is broken. */
function parseClientHello(body: Buffer): ClientHello | undefined {
  try {
    return new Hello(new Fields(body));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const SERVER_NAME = 0;
const STATUS_REQUEST = 5;
const SUPPORTED_GROUPS = 10;
const SIGNATURE_ALGORITHMS = 13;
const ALPN = 16;
const SESSION_TICKET = 35;
const PRE_SHARED_KEY = 41;
const SUPPORTED_VERSIONS = 43;
const SIGNATURE_ALGORITHMS_CERT = 50;
const RENEGOTIATION_INFO = 0xff01;
/** TLS_EMPTY_RENEGOTIATION_INFO_SCSV */
const RENEGOTIATION_SIGNAL = 0x00ff;

/** A client has some twenty. That none comes twice is looked up in all before it, so they must not be very many. */
const MOST_EXTENSIONS = 256;

/**
 * Lists of code points are checked at once and read when somebody asks: where there is one certificate to give, nobody
 * has to know what the client can use. They are kept as places in the message.
 */
class Hello implements ClientHello {
  readonly legacyVersion: number;
  alpn: readonly string[] = [];
  sni: string | undefined;
  sniInvalid = false;
  statusRequest = false;
  resumes = false;
  secureRenegotiation = false;
  readonly #cipherSuites: Fields;
  #supportedVersions: Fields | undefined;
  #groups: Fields | undefined;
  #signatureAlgorithms: Fields | undefined;
  #signatureAlgorithmsCert: Fields | undefined;

  constructor(fields: Fields) {
    this.legacyVersion = fields.number(2);
    fields.skip(32);
    fields.skip(fields.number(1));
    this.#cipherSuites = fields.codes(2);
    fields.skip(fields.number(1));
    if (fields.left > 0) this.#readExtensions(fields.vector(2));
    if (fields.left > 0) throw new RangeError('there is more after the extensions');
    this.secureRenegotiation ||= this.#cipherSuites.includes(RENEGOTIATION_SIGNAL);
  }

  get cipherSuites(): readonly number[] {
    return this.#cipherSuites.list();
  }

  get supportedVersions(): readonly number[] {
    return this.#supportedVersions?.list() ?? [this.legacyVersion];
  }

  get groups(): readonly number[] {
    return this.#groups?.list() ?? [];
  }

  get signatureAlgorithms(): readonly number[] {
    return this.#signatureAlgorithms?.list() ?? [];
  }

  get signatureAlgorithmsCert(): readonly number[] | undefined {
    return this.#signatureAlgorithmsCert?.list();
  }

  /** One that comes twice breaks the structure (RFC 8446 section 4.2): it could be chosen by one and used by the other. */
  #readExtensions(extensions: Fields): void {
    const types: number[] = [];
    while (extensions.left > 0) {
      const type = extensions.number(2);
      if (types.includes(type)) throw new RangeError('an extension comes twice');
      if (types.push(type) > MOST_EXTENSIONS) throw new RangeError('there are too many extensions');
      this.#readExtension(type, extensions);
    }
  }

  #readExtension(type: number, extensions: Fields): void {
    switch (type) {
      case SERVER_NAME:
        this.sni = readServerName(extensions.vector(2));
        this.sniInvalid = this.sni === undefined;
        return;
      case SUPPORTED_VERSIONS:
        this.#supportedVersions = extensions.vector(2).codes(1);
        return;
      case SUPPORTED_GROUPS:
        this.#groups = extensions.vector(2).codes(2);
        return;
      case SIGNATURE_ALGORITHMS:
        this.#signatureAlgorithms = extensions.vector(2).codes(2);
        return;
      case SIGNATURE_ALGORITHMS_CERT:
        this.#signatureAlgorithmsCert = extensions.vector(2).codes(2);
        return;
      case ALPN:
        this.alpn = extensions.vector(2).vector(2).names();
        return;
      default:
        this.#noteExtension(type, extensions.number(2), extensions);
    }
  }

  /** Of these it is enough that they are there. */
  #noteExtension(type: number, length: number, extensions: Fields): void {
    extensions.skip(length);
    if (type === STATUS_REQUEST) this.statusRequest = true;
    else if (type === RENEGOTIATION_INFO) this.secureRenegotiation = true;
    else if (type === PRE_SHARED_KEY || (type === SESSION_TICKET && length > 0)) this.resumes = true;
  }
}

/** RFC 6066 section 3: a list of one, of type host_name. A final dot, which it forbids and some send, is left out. */
function readServerName(extension: Fields): string | undefined {
  const list = extension.vector(2);
  const type = list.number(1);
  const name = list.vector(2).text().toLowerCase().replace(/\.$/, '');
  return type === 0 && list.left === 0 && isHostName(name) ? name : undefined;
}

/** Letters, digits, hyphens, and underscores, which some names in use have. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

function isHostName(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => LABEL.test(label));
}

/**
 * Reads length-prefixed fields in their order. Throws RangeError where they don't fit. It works by offsets: making a
 * Buffer for every field would take most of the time.
 */
class Fields {
  readonly #bytes: Buffer;
  readonly #end: number;
  #offset: number;

  constructor(bytes: Buffer, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.#offset;
  }

  /** Goes on by `length`; gives where it was. */
  skip(length: number): number {
    if (length > this.left) throw new RangeError('a field is cut off');
    this.#offset += length;
    return this.#offset - length;
  }

  number(octets: 1 | 2): number {
    const at = this.skip(octets);
    return octets === 1 ? this.#bytes.readUInt8(at) : this.#bytes.readUInt16BE(at);
  }

  vector(lengthOctets: 1 | 2): Fields {
    const length = this.number(lengthOctets);
    const start = this.skip(length);
    return new Fields(this.#bytes, start, start + length);
  }

  text(): string {
    const start = this.skip(this.left);
    return this.#bytes.toString('latin1', start, this.#end);
  }

  /** A list of 16-bit code points, to be read by list() and includes(). */
  codes(lengthOctets: 1 | 2): Fields {
    const codes = this.vector(lengthOctets);
    if (codes.left % 2 > 0) throw new RangeError('a list ends within a number');
    return codes;
  }

  list(): number[] {
    const list: number[] = [];
    for (let at = this.#offset; at < this.#end; at += 2) {
      const code = this.#bytes.readUInt16BE(at);
      if (!isGrease(code)) list.push(code);
    }
    return list;
  }

  includes(wanted: number): boolean {
    for (let at = this.#offset; at < this.#end; at += 2) {
      if (this.#bytes.readUInt16BE(at) === wanted) return true;
    }
    return false;
  }

  /** A list of names, each with its length. */
  names(): string[] {
    const names: string[] = [];
    while (this.left > 0) {
      const name = this.vector(1).text();
      if (name.length === 0) throw new RangeError('a protocol has no name');
      if (!(name.length === 2 && isGrease(Buffer.from(name, 'latin1').readUInt16BE()))) names.push(name);
    }
    return names;
  }
}

/** RFC 8701: 0x0a0a, 0x1a1a, … 0xfafa. */
function isGrease(code: number): boolean {
  return (code & 0x0f0f) === 0x0a0a && code >> 8 === (code & 0xff);
}
