/** What a certificate store answers, checked: `{"cert": PEM chain, "key": PEM}`. */
import * as v from 'valibot';
import { LatchkeyError } from '../../base/errors.ts';
import { coversName, dnsNames } from '../../pki/certificate.ts';
import { readCredential } from '../credential.ts';
import type { FoundCertificates } from '../source.ts';
import { serverNameOf } from '../source.ts';

/** A certificate that must not be served for the name it was given for. */
export class BadAnswer extends LatchkeyError<'store-bad-answer'> {
  constructor(message: string, options?: ErrorOptions) {
    super('store-bad-answer', message, options);
  }
}

const Answer = v.object({ cert: v.string(), key: v.string() });

/** @throws BadAnswer, or a LatchkeyError of what cannot be read; no message has anything of the key in it. */
export function readAnswer(body: string, name: string, now: number): FoundCertificates {
  const { cert, key } = parse(body);
  return checkCertificate(cert, key, name, now);
}

/** `chain` and `key` in PEM. Throws as readAnswer(). */
export function checkCertificate(chain: string, key: string, name: string, now: number): FoundCertificates {
  const { credential, leaf } = readCredential({ chain, key });
  const names = dnsNames(leaf);
  if (!coversName({ names }, name)) {
    throw new BadAnswer(`its certificate is for ${shown(names)}, not for ${name}`);
  }
  const { notBefore, notAfter } = credential;
  if (notAfter <= now) throw new BadAnswer(`its certificate expired on ${date(notAfter)}`);
  if (notBefore > now) throw new BadAnswer(`its certificate is not valid before ${date(notBefore)}`);
  return {
    kind: 'found',
    set: { fallback: false, certificates: [credential] },
    names: names.filter(isServable),
    tag: undefined,
  };
}

function parse(body: string): v.InferOutput<typeof Answer> {
  try {
    return v.parse(Answer, JSON.parse(body));
  } catch {
    // What JSON.parse() says may quote the body, and with it the key.
    throw new BadAnswer('its answer is not JSON with the texts "cert" and "key"');
  }
}

/** Names that an SNI can find. */
function isServable(name: string): boolean {
  return serverNameOf(name.startsWith('*.') ? name.slice(2) : name) !== undefined;
}

function shown(names: readonly string[]): string {
  const [first, second, ...more] = names;
  if (first === undefined) return 'no DNS name';
  return [first, ...(second === undefined ? [] : [second])].join(', ') + (more.length > 0 ? ', …' : '');
}

function date(ms: number): string {
  return new Date(ms).toUTCString();
}
