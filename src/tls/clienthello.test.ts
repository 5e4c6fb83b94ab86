import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { ClientHelloReader } from './clienthello.ts';
import type { ClientHello, Peek } from './clienthello.ts';
import {
  captureHello,
  codes,
  helloBody,
  helloMessage,
  installed,
  messageOf,
  records,
  vector,
} from './hello.testing.ts';
import type { HelloParts } from './hello.testing.ts';

/** What a reader says of a stream that arrives in pieces of these sizes. */
function read(stream: Buffer, sizes: readonly number[] = [], size?: number): Peek {
  const reader = new ClientHelloReader(size === undefined ? {} : { size });
  let at = 0;
  let peek: Peek = { kind: 'incomplete' };
  for (const size of [...sizes, stream.length]) {
    const piece = stream.subarray(at, at + size);
    at += piece.length;
    if (piece.length > 0) peek = reader.push(piece);
    if (peek.kind !== 'incomplete') break;
  }
  return peek;
}

function helloOf(stream: Buffer): ClientHello {
  const peek = read(stream);
  assert.equal(peek.kind, 'hello');
  return peek.kind === 'hello' ? peek.hello : assert.fail();
}

/** All that it says, what is read only when it is asked for included. */
function said(hello: ClientHello): ClientHello {
  const { legacyVersion, cipherSuites, supportedVersions, groups, signatureAlgorithms } = hello;
  const { signatureAlgorithmsCert, alpn, sni, sniInvalid, statusRequest, resumes, secureRenegotiation } =
    hello;
  const lists = {
    cipherSuites,
    supportedVersions,
    groups,
    signatureAlgorithms,
    signatureAlgorithmsCert,
    alpn,
  };
  return { legacyVersion, ...lists, sni, sniInvalid, statusRequest, resumes, secureRenegotiation };
}

function saidBy(peek: Peek): Peek {
  return peek.kind === 'hello' ? { kind: 'hello', hello: said(peek.hello) } : peek;
}

const made = (parts: HelloParts) => records(helloMessage(helloBody(parts)));
const full = helloBody({
  sni: 'www.example.org',
  alpn: ['h2', 'http/1.1'],
  extensions: [
    [5, Buffer.of(1, 0, 0, 0, 0)],
    [10, vector(2, codes([0x11ec, 29]))],
    [13, vector(2, codes([0x0403, 0x0804]))],
    [50, vector(2, codes([0x0403]))],
    [43, vector(1, codes([0x0304, 0x0303]))],
    [35, Buffer.alloc(100)],
  ],
});
const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 30 });

suite('A ClientHello', () => {
  test('is read with all that a choice needs', () => {
    assert.deepEqual(said(helloOf(records(helloMessage(full)))), {
      legacyVersion: 0x0303,
      cipherSuites: [0x1301],
      supportedVersions: [0x0304, 0x0303],
      groups: [0x11ec, 29],
      signatureAlgorithms: [0x0403, 0x0804],
      signatureAlgorithmsCert: [0x0403],
      alpn: ['h2', 'http/1.1'],
      sni: 'www.example.org',
      sniInvalid: false,
      statusRequest: true,
      resumes: true,
      secureRenegotiation: false,
    });
  });

  test('without extensions is read, as clients of TLS 1.2 may send it', () => {
    const body = helloBody({});
    const hello = helloOf(records(helloMessage(body.subarray(0, -2))));
    assert.deepEqual(hello.supportedVersions, [0x0303]);
    assert.equal(hello.sni, undefined);
    assert.equal(hello.sniInvalid, false);
    assert.equal(hello.signatureAlgorithmsCert, undefined);
    assert.equal(hello.resumes, false);
  });

  test('says whether the client knows of secure renegotiation, by extension or by cipher suite', () => {
    const byExtension = helloOf(records(helloMessage(helloBody({ extensions: [[0xff01, Buffer.of(0)]] }))));
    assert.equal(byExtension.secureRenegotiation, true);
    const bySuite = helloOf(records(helloMessage(helloBody({ cipherSuites: [0x1301, 0x00ff] }))));
    assert.equal(bySuite.secureRenegotiation, true);
  });

  test('is the same however it is cut into segments and records', () => {
    const hello = said(helloOf(records(helloMessage(full))));
    fc.assert(
      fc.property(sizes, sizes, (recordSizes, segmentSizes) => {
        const peek = read(records(helloMessage(full), recordSizes), segmentSizes);
        assert.deepEqual(saidBy(peek), { kind: 'hello', hello });
      }),
    );
  });

  test('is incomplete until its last octet is there', () => {
    const stream = records(helloMessage(full), [1, 2, 3, 4, 100]);
    for (let length = 0; length < stream.length; length++) {
      assert.equal(read(stream.subarray(0, length)).kind, 'incomplete');
    }
  });

  test('shows no GREASE', () => {
    const grease = [0x0a0a, 0x1a1a, 0xfafa];
    const hello = helloOf(
      made({
        alpn: ['\x0a\x0a', 'h2'],
        cipherSuites: [0x0a0a, 0x1301, 0x0a1a],
        extensions: [
          [0x2a2a, Buffer.alloc(0)],
          [10, vector(2, codes([...grease, 29]))],
          [43, vector(1, codes([0x3a3a, 0x0304]))],
          [0x8a8a, Buffer.of(0)],
        ],
      }),
    );
    assert.deepEqual(hello.alpn, ['h2']);
    assert.deepEqual(hello.cipherSuites, [0x1301, 0x0a1a]);
    assert.deepEqual(hello.groups, [29]);
    assert.deepEqual(hello.supportedVersions, [0x0304]);
  });

  const names: Record<string, string | undefined> = {
    'WWW.Example.ORG': 'www.example.org',
    'www.example.org.': 'www.example.org',
    localhost: 'localhost',
    'a_b.example.org': 'a_b.example.org',
    'xn--bcher-kva.example': 'xn--bcher-kva.example',
    '': undefined,
    '.': undefined,
    'a..b': undefined,
    '-a.example': undefined,
    'a-.example': undefined,
    'www.example.org\0.evil.example': undefined,
    'www.example.org\n': undefined,
    'b\xfccher.example': undefined,
    '*.example.org': undefined,
    '../../etc/passwd': undefined,
    [`${'a'.repeat(64)}.example`]: undefined,
    ['a.'.repeat(150)]: undefined,
    [`${'a.'.repeat(126)}a`]: `${'a.'.repeat(126)}a`,
  };
  for (const [sent, sni] of Object.entries(names)) {
    test(`of ${JSON.stringify(sent.slice(0, 40))} names ${sni === undefined ? 'no host' : 'its host'}`, () => {
      const hello = helloOf(made({ sni: sent }));
      assert.equal(hello.sni, sni);
      assert.equal(hello.sniInvalid, sni === undefined);
    });
  }

  const broken: Record<string, Buffer> = {
    'another message': Buffer.from([2, ...helloMessage(full).subarray(1)]),
    'an extension twice': helloMessage(
      helloBody({ sni: 'a.example', extensions: [[0, Buffer.of(0, 4, 0, 0, 1, 98)]] }),
    ),
    'a list that ends within a number': helloMessage(
      helloBody({ extensions: [[10, vector(2, Buffer.of(1, 2, 3))]] }),
    ),
    'a list of versions that ends within a number': helloMessage(
      helloBody({ extensions: [[43, vector(1, Buffer.of(3, 4, 3))]] }),
    ),
    'cipher suites that end within a number': helloMessage(
      Buffer.concat([full.subarray(0, 67), vector(2, Buffer.of(0x13, 1, 0x13)), full.subarray(71)]),
    ),
    'an extension twice that nobody knows': helloMessage(
      helloBody({ extensions: [0xabcd, 0xabcd].map((type) => [type, Buffer.alloc(0)]) }),
    ),
    'more extensions than there can be': helloMessage(
      helloBody({ extensions: Array.from({ length: 257 }, (_, at) => [1000 + at, Buffer.alloc(0)]) }),
    ),
    'a protocol without name': helloMessage(helloBody({ alpn: ['h2', ''] })),
    'a length beyond the end': helloMessage(helloBody({ extensions: [[10, Buffer.of(0, 9, 0, 29)]] })),
    'something behind its extensions': helloMessage(Buffer.concat([full, Buffer.of(0)])),
    'nothing in it': helloMessage(Buffer.alloc(0)),
  };
  for (const [what, message] of Object.entries(broken)) {
    test(`with ${what} is malformed`, () => {
      assert.deepEqual(read(records(message)), { kind: 'invalid', reason: 'malformed' });
    });
  }

  test('in records that are empty or too large is malformed', () => {
    for (const length of [0, 2 ** 14 + 1]) {
      const header = Buffer.concat([Buffer.of(22, 3, 1), codes([length])]);
      assert.deepEqual(read(header), { kind: 'invalid', reason: 'malformed' });
    }
  });

  test('that announces or brings more than the limit is too long, as soon as that shows', () => {
    const tooLong = { kind: 'invalid', reason: 'too-long' };
    assert.deepEqual(read(Buffer.of(22, 3, 1, 1, 0, 1, 1, 0, 0)), tooLong);
    const message = helloMessage(full);
    const stream = records(
      message,
      Array.from({ length: message.length }, () => 1),
    );
    assert.deepEqual(read(stream, [], stream.length - 1), tooLong);
    assert.equal(read(stream, [], stream.length).kind, 'hello');
    assert.equal(read(stream.subarray(0, 500), [], 501).kind, 'incomplete');
    assert.deepEqual(read(stream.subarray(0, 500), [], 500), tooLong);
  });

  test('is what begins as TLS: anything else shows by its first octet', () => {
    for (let first = 0; first < 256; first++) {
      const expected = first === 22 ? { kind: 'incomplete' } : { kind: 'invalid', reason: 'not-tls' };
      assert.deepEqual(read(Buffer.of(first)), expected);
    }
  });

  test('made of garbage, or damaged, gives one of the answers', () => {
    const message = helloMessage(full);
    const damage = fc.array(fc.tuple(fc.nat(message.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), damage, sizes, (garbage, changes, segments) => {
        const damaged = Buffer.from(message);
        for (const [at, value] of changes) damaged.writeUInt8(value, at);
        for (const stream of [
          Buffer.from(garbage),
          records(Buffer.from(garbage)),
          records(helloMessage(Buffer.from(garbage))),
          records(damaged),
        ]) {
          const peek = read(stream, segments);
          assert.deepEqual(saidBy(peek), saidBy(read(stream)));
          assert.ok(['incomplete', 'invalid', 'hello'].includes(peek.kind));
        }
      }),
      { numRuns: 500 },
    );
  });
});

suite('The ClientHello of', () => {
  const script = (options: string) =>
    `require('tls').connect({ host: '127.0.0.1', port: process.argv[1], ${options} }).on('error', () => {})`;
  const clients: Record<
    string,
    { command: string; args: (port: string) => string[]; expected: Partial<ClientHello> }
  > = {
    node: {
      command: process.execPath,
      args: (port) => [
        '-e',
        script("servername: 'node.example', ALPNProtocols: ['h2', 'x'], requestOCSP: true"),
        port,
      ],
      expected: {
        sni: 'node.example',
        alpn: ['h2', 'x'],
        statusRequest: true,
        supportedVersions: [0x0304, 0x0303],
      },
    },
    'node, TLS 1.2, without a name': {
      command: process.execPath,
      args: (port) => ['-e', script("maxVersion: 'TLSv1.2'"), port],
      expected: {
        sni: undefined,
        sniInvalid: false,
        alpn: [],
        statusRequest: false,
        supportedVersions: [0x0303],
      },
    },
    openssl: {
      command: 'openssl',
      args: (port) => [
        's_client',
        '-connect',
        `127.0.0.1:${port}`,
        '-servername',
        'Open.Example',
        '-alpn',
        'acme-tls/1',
        '-status',
        '-groups',
        'P-256',
      ],
      expected: { sni: 'open.example', alpn: ['acme-tls/1'], statusRequest: true, groups: [23] },
    },
    'gnutls-cli': {
      command: 'gnutls-cli',
      args: (port) => ['--insecure', '--sni-hostname=gnu.example', '--alpn=h2', '-p', port, '127.0.0.1'],
      expected: { sni: 'gnu.example', alpn: ['h2'] },
    },
    curl: {
      command: 'curl',
      args: (port) => ['-k', '--resolve', `curl.example:${port}:127.0.0.1`, `https://curl.example:${port}/`],
      expected: { sni: 'curl.example', alpn: ['h2', 'http/1.1'], statusRequest: false },
    },
  };
  for (const [name, { command, args, expected }] of Object.entries(clients)) {
    test(name, async (t) => {
      if (!installed(command)) return t.skip(`${command} is not installed`);
      const stream = await captureHello(command, args);
      const hello = said(helloOf(stream));
      assert.deepEqual({ ...hello, ...expected }, hello);
      assert.ok(hello.signatureAlgorithms.includes(0x0403));
      assert.ok(hello.cipherSuites.includes(0xc02b));
      assert.deepEqual(saidBy(read(records(messageOf(stream), [1, 2, 3, 40]), [5, 1, 1, 9])), {
        kind: 'hello',
        hello,
      });
    });
  }
});
