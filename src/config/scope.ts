/** Where the walk through the tree stands, and what directives there write into. */
import { resolve } from 'node:path';
import type { DomainDraft, Draft, HostDraft, ServerDraft } from './draft.ts';
import type { DirectorySettings, Position, RequireRule, Section, Warning } from './settings.ts';

/** `Require` lines of one container, or of a section. */
export interface RuleList {
  readonly kind: 'any' | 'every' | 'none';
  readonly rules: RequireRule[];
}

export interface Scope {
  readonly server: ServerDraft;
  readonly host: HostDraft;
  readonly directory: Draft<DirectorySettings>;
  /** Where sections that open here go. */
  readonly sections: Section[];
  /** Inside `<MDomain>`. */
  readonly domain: DomainDraft | undefined;
  readonly rules: RuleList;
  /** Path of the `<Location>` that is open, if it is a plain one. */
  readonly location: string | undefined;
  /** URL of the `<Proxy>` that is open. */
  readonly proxyUrl: string | undefined;
  /** What encloses: the nearest section of each sort, by the name to show (`Directory`). */
  readonly inside: Inside;
  /** The line at hand. */
  at: Position;
  warn(module: string, message: string): void;
}

export interface Inside {
  readonly virtualHost?: string;
  readonly directory?: string;
  readonly managedDomain?: string;
  readonly authorization?: string;
}

export function rootScope(server: ServerDraft, warnings: Warning[]): Scope {
  const scope: Scope = {
    server,
    host: server.base,
    directory: server.base.directory,
    sections: server.base.sections,
    domain: undefined,
    rules: { kind: 'any', rules: [] },
    location: undefined,
    proxyUrl: undefined,
    inside: {},
    at: { file: '', line: 0 },
    warn(module, message) {
      const { file, line } = this.at;
      warnings.push({ file, line, module, message });
    },
  };
  return scope;
}

/** The scope of a section that stands in `scope`. */
export function within(scope: Scope, changes: Partial<Scope>): Scope {
  return { ...scope, ...changes };
}

/** Absolute, `..` resolved, relative paths below ServerRoot. */
export function pathOf(scope: Scope, path: string): string {
  return resolve(scope.server.serverRoot, path);
}

/** A copy of the line's position: the scope's own moves on. */
export function here(scope: Scope): Position {
  return { file: scope.at.file, line: scope.at.line };
}
