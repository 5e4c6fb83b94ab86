/** All directives there are, found by name in any case. */
import { nearest } from '../base/nearest.ts';
import type { Directive, Family } from './directive.ts';
import { access } from './directives/access.ts';
import { api } from './directives/api.ts';
import { cgi } from './directives/cgi.ts';
import { clientLimits } from './directives/client-limits.ts';
import { core } from './directives/core.ts';
import { dynssl } from './directives/dynssl.ts';
import { environment } from './directives/environment.ts';
import { dynsslServe } from './directives/dynssl-serve.ts';
import { headers } from './directives/headers.ts';
import { ignored, type Ignored } from './directives/ignored.ts';
import { limits } from './directives/limits.ts';
import { localCa } from './directives/localca.ts';
import { log } from './directives/log.ts';
import { mapping } from './directives/mapping.ts';
import { md } from './directives/md.ts';
import { mdStatus } from './directives/md-status.ts';
import { proxy } from './directives/proxy.ts';
import { proxyWorkers } from './directives/proxy-workers.ts';
import { reading } from './directives/reading.ts';
import { sections } from './directives/sections.ts';
import { ssl } from './directives/ssl.ts';
import { tls } from './directives/tls.ts';
import { unsupported } from './directives/unsupported.ts';
import type { Reading } from './reading.ts';
import type { Scope } from './scope.ts';

/** In the order of the reference page. */
export const families: readonly Family<Scope>[] = [
  core,
  sections,
  mapping,
  cgi,
  access,
  headers,
  environment,
  proxy,
  proxyWorkers,
  limits,
  clientLimits,
  log,
  md,
  mdStatus,
  localCa,
  ssl,
  tls,
  dynssl,
  dynsslServe,
  api,
];

export type Registered =
  | { readonly kind: 'directive'; readonly directive: Directive<Scope>; readonly family: Family<Scope> }
  | ({ readonly kind: 'ignored'; readonly name: string } & Ignored)
  | { readonly kind: 'unsupported'; readonly name: string; readonly reason: string };

const byName = new Map<string, Registered>();
for (const [name, known] of ignored) byName.set(name.toLowerCase(), { kind: 'ignored', name, ...known });
for (const [name, reason] of unsupported) {
  byName.set(name.toLowerCase(), { kind: 'unsupported', name, reason });
}
for (const family of families) {
  for (const directive of family.directives) {
    for (const name of [directive.name, ...(directive.aliases ?? [])]) {
      byName.set(name.toLowerCase(), { kind: 'directive', directive, family });
    }
  }
}

export const readingDirectives: ReadonlyMap<string, Directive<Reading>> = new Map(
  reading.directives.map((directive) => [directive.name.toLowerCase(), directive]),
);

/** By name as written, with `<` before a section's. */
export function find(name: string): Registered | undefined {
  return byName.get(name.toLowerCase());
}

/** For `<IfDirective>` and `<IfSection>`: whether it does something here. */
export function knows(name: string): boolean {
  const found = find(name);
  return readingDirectives.has(name.toLowerCase()) || (found !== undefined && found.kind !== 'unsupported');
}

/** Names of directives that may be meant, a section's (`<`) for a section; see base/nearest.ts. */
export function nearestDirectives(name: string): string[] {
  const isSection = name.startsWith('<');
  return nearest(
    name,
    [...candidates()].filter((candidate) => candidate.startsWith('<') === isSection),
  );
}

function* candidates(): Generator<string> {
  for (const family of [...families, reading]) {
    for (const { name, aliases } of family.directives) {
      yield name;
      yield* aliases ?? [];
    }
  }
}
