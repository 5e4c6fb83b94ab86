/** Managed domains whose certificates come from files of the administrator's (MDCertificateFile). */
import { readFile } from 'node:fs/promises';
import { explain } from '../../base/errors.ts';
import { coversName, type Certificate, parseChain } from '../../pki/certificate.ts';
import type { KeySpec } from '../../pki/keyspec.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import {
  type AdviceOn,
  assess,
  type DomainState,
  type Due,
  due,
  type HeldSet,
  type StateCertificate,
} from '../state.ts';

/** Gives the PEM of a file. */
export type ReadPem = (file: string) => Promise<string>;

export const readPemFile: ReadPem = (file) => readFile(file, 'latin1');

interface Circumstances {
  /** ms since the epoch. */
  readonly now: number;
  readonly read: ReadPem;
  readonly adviceOn?: AdviceOn | undefined;
}

/**
 * The state of a domain by what it serves: its files where it has some, else what the store holds. Files that
 * grow old call for a renewal only while nothing has been obtained that could take their place.
 */
export async function judge(
  domain: ManagedDomainSettings,
  held: HeldSet,
  { now, read, adviceOn }: Circumstances,
): Promise<DomainState> {
  const obtained = assess(domain, held, now, adviceOn);
  if (domain.staticFiles.length === 0) return obtained;
  const served = await assessFiles(domain, read, now);
  const reasons = obtained.reasons.length > 0 ? served.reasons : [];
  return { ...served, reasons, renewAt: Math.max(served.renewAt, obtained.renewAt) };
}

async function assessFiles(domain: ManagedDomainSettings, read: ReadPem, now: number): Promise<DomainState> {
  const lacking: string[] = [];
  const dues: Due[] = [];
  const certificates: StateCertificate[] = [];
  for (const { certificateFile } of domain.staticFiles) {
    try {
      const [info] = parseChain(await read(certificateFile));
      if (!info) continue;
      certificates.push({ spec: specOf(info), info });
      const uncovered = domain.domains.filter((name) => !coversName(info, name));
      if (uncovered.length > 0) lacking.push(`${certificateFile} does not cover ${uncovered.join(', ')}`);
      dues.push(due(domain, info, undefined));
    } catch (error) {
      lacking.push(`${certificateFile} can't be used: ${explain(error)}`);
    }
  }
  const dating = dues.filter(({ at }) => at <= now).map(({ reason }) => reason(now));
  const reasons = [...new Set([...lacking, ...dating])];
  return {
    state: lacking.length > 0 ? 'incomplete' : 'complete',
    description: lacking.join('; '),
    certificates,
    expired: certificates.some(({ info }) => info.notAfter <= now),
    renewAt: reasons.length > 0 ? now : Math.min(...dues.map(({ at }) => at)),
    advised: false,
    reasons,
  };
}

/** The kind of key that a certificate is for, however it came about. */
function specOf({ x509: { publicKey } }: Certificate): KeySpec {
  const { modulusLength, namedCurve } = publicKey.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined) return { type: 'RSA', bits: modulusLength };
  return { type: 'EC', name: namedCurve ?? publicKey.asymmetricKeyType ?? 'unknown' };
}
