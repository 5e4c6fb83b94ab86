import type { KeySpec } from '../pki/keyspec.ts';
import { Refusal } from './directive.ts';

/** What MDPrivateKeys says: one RSA key at most, each curve once. Throws Refusal. */
export function keySpecs(args: readonly string[]): KeySpec[] {
  if (args.length === 0) throw new Refusal('needs to specify the private key type');
  if (args.some((arg) => /^default$/i.test(arg))) {
    if (args.length > 1) throw new Refusal("'Default' allows no other parameter");
    return [{ type: 'RSA', bits: 2048 }];
  }
  const specs: KeySpec[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    const bits = /^rsa(\d*)$/i.exec(arg)?.[1];
    if (bits === undefined) {
      addKey(specs, { type: 'EC', name: curve(arg) }, arg);
      continue;
    }
    const next = bits === '' && /^\d+$/.test(args[at + 1] ?? '') ? args[++at] : undefined;
    addKey(specs, { type: 'RSA', bits: rsaBits(bits || next || '2048') }, 'RSA');
  }
  return specs;
}

function addKey(specs: KeySpec[], spec: KeySpec, shown: string): void {
  const same = (other: KeySpec) =>
    spec.type === 'RSA' ? other.type === 'RSA' : other.type === 'EC' && other.name === spec.name;
  if (specs.some(same)) throw new Refusal(`two keys of type '${shown}' are not possible.`);
  specs.push(spec);
}

function rsaBits(text: string): number {
  const bits = Number(text);
  if (bits < 2048) throw new Refusal('must be 2048 or higher in order to be considered safe.');
  if (bits > 16_384) throw new Refusal(`RSA ${text}: more than 16384 bits are not supported`);
  return bits;
}

/** It becomes part of file names. */
function curve(text: string): string {
  if (/^[a-z][\w-]{0,31}$/i.test(text)) return text.toLowerCase();
  throw new Refusal(`'${text}' is no type of key; use RSA, P-256, P-384, secp256r1 …`);
}
