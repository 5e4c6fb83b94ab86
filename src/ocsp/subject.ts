/** What is to be stapled: a certificate, whom to ask about it, and what to ask. */
import { LRUCache } from 'lru-cache';
import { type Certificate, parseChain } from '../pki/certificate.ts';
import { hasMustStaple } from '../pki/der.ts';
import {
  ocspIssuer,
  type OcspIssuer,
  type OcspQuestion,
  questionAbout,
  responderUrls,
} from '../pki/ocsp-request.ts';
import { OTHERS } from './response-file.ts';

/** A certificate as its owner has it. */
export interface CertificateToStaple {
  /** PEM of the leaf, then its chain; with the root, where that is the issuer. */
  readonly chainPem: string;
  /** The managed domain it is of; undefined: none. */
  readonly domain?: string | undefined;
  /** Whom to ask instead of whom the certificate names (SSLStaplingForceURL). */
  readonly responderUrl?: string | undefined;
  /** ms for one answer (SSLStaplingResponderTimeout); default 10 s. */
  readonly timeout?: number | undefined;
}

export interface Subject {
  /** SHA-1 of the certificate, lower-case hex: what mod_md calls it by. */
  readonly id: string;
  /** In the store: the managed domain, or `other`. */
  readonly folder: string;
  /** SHA-256 of the certificate, lower-case hex. */
  readonly sha256: string;
  readonly serial: string;
  readonly names: readonly string[];
  /** ms since the epoch. */
  readonly notAfter: number;
  /** Clients are to insist on a staple. */
  readonly mustStaple: boolean;
  /** undefined: nobody can be asked, for `why`. */
  readonly inquiry: { readonly question: OcspQuestion; readonly url: string } | undefined;
  /** Why it is not stapled; empty where it is. */
  readonly why: string;
  /** ms. */
  readonly timeout: number;
}

const DEFAULT_TIMEOUT = 10_000;

/** Ten thousand certificates have a few issuers, each of which is kept once. */
export type Issuers = LRUCache<string, OcspIssuer>;

export function newIssuers(): Issuers {
  return new LRUCache({ max: 1000 });
}

/** @throws PkiError where the chain can't be read */
export function subjectOf(given: CertificateToStaple, issuers: Issuers): Subject {
  const [leaf, ...others] = parseChain(given.chainPem);
  if (!leaf) throw new Error('parseChain() gives one at least');
  const issuer = others.find(({ x509 }) => leaf.x509.checkIssued(x509));
  const url = given.responderUrl ?? responderUrls(leaf)[0];
  const why = whyNot(leaf, issuer, url);
  return {
    id: idOf(leaf),
    folder: given.domain ?? OTHERS,
    sha256: leaf.sha256,
    serial: leaf.serial,
    names: leaf.names,
    notAfter: leaf.notAfter,
    mustStaple: hasMustStaple(leaf.x509),
    inquiry:
      issuer && url !== undefined && why === ''
        ? { question: questionAbout(leaf, known(issuer, issuers)), url }
        : undefined,
    why,
    timeout: given.timeout ?? DEFAULT_TIMEOUT,
  };
}

export function idOf({ x509 }: Certificate): string {
  return x509.fingerprint.replaceAll(':', '').toLowerCase();
}

function whyNot(leaf: Certificate, issuer: Certificate | undefined, url: string | undefined): string {
  if (url === undefined) return `certificate with serial ${leaf.serial} has no OCSP responder URL`;
  if (issuer) return '';
  return `the issuer of the certificate with serial ${leaf.serial} is not in its chain: add it to the certificate's file`;
}

function known(issuer: Certificate, issuers: Issuers): OcspIssuer {
  const { sha256 } = issuer;
  const before = issuers.get(sha256);
  if (before) return before;
  const made = ocspIssuer(issuer);
  issuers.set(sha256, made);
  return made;
}
