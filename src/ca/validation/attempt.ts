import type { Identifier } from '../identifiers.ts';
import type { NameResolver } from './resolve.ts';

/** What is to be proved, and how to get there. */
export interface Attempt {
  /** Without wildcard. */
  readonly identifier: Identifier;
  readonly token: string;
  readonly keyAuthorization: string;
  readonly ports: { readonly http: number; readonly https: number };
  readonly resolver: NameResolver;
  readonly signal: AbortSignal;
}
