/** What mod_md's directives have in common: each is for the whole server, or for the managed domain it stands in. */
import { type Context, declaring, type Directive, servers } from '../directive.ts';
import type { DomainValues } from '../draft.ts';
import type { Scope } from '../scope.ts';
import { onOff } from '../values.ts';

const directive = declaring<Scope>();

/** Counts for all, for the MDs of a virtual host, or for one. */
export const everywhere: readonly Context[] = [...servers, 'managed domain'];

export const valuesOf = (scope: Scope): DomainValues => scope.domain?.values ?? scope.host.md;

type FlagKey = 'renewViaAri' | 'profileMandatory' | 'mustStaple' | 'stapling' | 'stapleOthers';

/** A directive that is on or off. */
export function flag(name: string, key: FlagKey, standard: 'on' | 'off', doc: string): Directive<Scope> {
  return directive({
    name,
    syntax: 'on|off',
    contexts: everywhere,
    default: standard,
    doc,
    args: 'TAKE1',
    apply(scope, text) {
      valuesOf(scope)[key] = onOff(text);
    },
  });
}
