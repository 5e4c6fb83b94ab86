import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier, SubjectAlternativeName } from '@peculiar/asn1-x509';
import { derElements, derTime } from './der.ts';
import { bitString, der, objectIdentifier, sequence, tagged, time, written } from './der-writer.ts';
import { subjectAltName } from './extensions.ts';

test('what is written is read again, however long', () => {
  const lengths = fc.oneof(fc.nat(300), fc.constantFrom(127, 128, 255, 256, 65_535, 65_536));
  fc.assert(
    fc.property(lengths, fc.nat(255), (length, octet) => {
      const content = Buffer.alloc(length, octet);
      const bytes = sequence(der(written.octets, content), tagged(3, bitString(content)));
      const [whole] = derElements(bytes);
      const [octets, tail] = derElements(whole?.content ?? Buffer.alloc(0));
      assert.ok(octets?.content.equals(content));
      assert.equal(tail?.tag, 0xa3);
      const [bits] = derElements(tail.content);
      assert.ok(bits?.content.equals(Buffer.concat([Uint8Array.of(0), content])));
    }),
  );
  const library = Buffer.from(AsnConvert.serialize(new OctetString(Buffer.alloc(70_000))));
  assert.ok(der(written.octets, Buffer.alloc(70_000)).equals(library));
});

test('object identifiers are those of the library', () => {
  const arc = fc.nat(2 ** 31 - 1);
  fc.assert(
    fc.property(fc.nat(1), fc.nat(39), fc.array(arc, { maxLength: 8 }), (first, second, rest) => {
      const dotted = [first, second, ...rest].join('.');
      const { algorithm } = AsnConvert.parse(sequence(objectIdentifier(dotted)), AlgorithmIdentifier);
      assert.equal(algorithm, dotted);
    }),
  );
});

test('times are whole seconds of any year that certificates know', () => {
  const years = { min: Date.UTC(1950, 0), max: Date.UTC(9999, 11, 31, 23, 59, 59) };
  fc.assert(
    fc.property(fc.integer(years), (ms) => {
      const [element] = derElements(time(ms));
      assert.ok(element);
      assert.equal(derTime(element), Math.floor(ms / 1000) * 1000);
      assert.equal(element.tag === written.utcTime, new Date(ms).getUTCFullYear() < 2050);
    }),
  );
});

test('addresses of every spelling are their octets', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      const { extnValue } = subjectAltName([address]);
      const [name] = AsnConvert.parse(extnValue.buffer, SubjectAlternativeName);
      const host = (text: string) => new URL(`http://${text.includes(':') ? `[${text}]` : text}`).hostname;
      assert.equal(host(name?.iPAddress ?? ''), host(address));
    }),
  );
});
