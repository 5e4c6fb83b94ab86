/** PEM (RFC 7468): cutting bundles into blocks, and writing one. */
import { PkiError } from './errors.ts';

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string;
  /** From BEGIN to END, newline at the end; as it was read otherwise. */
  readonly pem: string;
}

export interface PemLimits {
  /** Characters at most; default 256 KiB. */
  readonly size?: number;
  /** Blocks at most; default 64. */
  readonly blocks?: number;
}

const DASHES = '-----';
const BEGIN = `${DASHES}BEGIN `;

/**
 * The blocks of a PEM text in their order; text around them is skipped (RFC 7468 section 5.2). In linear time,
 * whatever the text is.
 * @throws PkiError `pem-unreadable`: over the limits, or a block that doesn't end.
 */
export function pemBlocks(text: string, limits: PemLimits = {}): PemBlock[] {
  const { size = 256 * 1024, blocks: most = 64 } = limits;
  if (text.length > size)
    throw new PkiError('pem-unreadable', `The PEM text is longer than ${size} characters`);
  const blocks: PemBlock[] = [];
  let at = text.indexOf(BEGIN);
  while (at >= 0) {
    if (blocks.length === most)
      throw new PkiError('pem-unreadable', `More than ${most} PEM blocks in one text`);
    const block = blockAt(text, at);
    blocks.push(block);
    at = text.indexOf(BEGIN, at + block.pem.length - 1);
  }
  return blocks;
}

function blockAt(text: string, at: number): PemBlock {
  const labelFrom = at + BEGIN.length;
  const labelTo = text.indexOf(DASHES, labelFrom);
  const label = labelTo < 0 ? '' : text.slice(labelFrom, labelTo);
  if (!/^[A-Z0-9 ]{1,64}$/.test(label)) {
    throw new PkiError('pem-unreadable', 'A PEM block has no proper BEGIN line');
  }
  const end = `${DASHES}END ${label}${DASHES}`;
  const endAt = text.indexOf(end, labelTo);
  if (endAt < 0)
    throw new PkiError('pem-unreadable', `The PEM block "${label}" is cut off: it has no END line`);
  return { label, pem: `${text.slice(at, endAt + end.length)}\n` };
}

/** Writes DER as PEM: lines of 64 characters, newline at the end. */
export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `${BEGIN}${label}${DASHES}\n${lines.join('\n')}\n${DASHES}END ${label}${DASHES}\n`;
}
