/** dns-01 (RFC 8555 section 8.4): the key authorization's digest in a TXT record of `_acme-challenge.NAME`. */
import { createHash } from 'node:crypto';
import { AcmeProblem } from '../acme/problem.ts';
import { quote } from './failure.ts';
import type { Attempt } from './attempt.ts';

/** Fulfilled when one of the records is the digest. Rejects with AcmeProblem. */
export async function validateDns01({
  identifier,
  keyAuthorization,
  resolver,
  signal,
}: Attempt): Promise<void> {
  const name = `_acme-challenge.${identifier.value}`;
  const wanted = createHash('sha256').update(keyAuthorization).digest('base64url');
  const records = await resolver.texts(name, signal);
  if (records.includes(wanted)) return;
  if (records.length === 0) throw new AcmeProblem('unauthorized', `no TXT record found at ${name}`);
  const [first = ''] = records;
  const others = records.length > 1 ? ` (and ${records.length - 1} more)` : '';
  throw new AcmeProblem(
    'unauthorized',
    `the TXT record at ${name} is "${quote(first)}"${others}, not the digest`,
  );
}
