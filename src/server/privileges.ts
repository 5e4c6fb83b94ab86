/**
 * User and Group: who the engine and the workers become. Only the supervisor keeps the rights it was started
 * with. Children are forked with them, load their code, and drop them before anything from outside reaches
 * them (spawning them as User at once would need the program's own files to be readable by User).
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { LatchkeyError } from '../base/errors.ts';
import type { Identity } from './calls.ts';

export class PrivilegeError extends LatchkeyError<'privileges'> {
  constructor(message: string, options?: ErrorOptions) {
    super('privileges', message, options);
  }
}

/**
 * The identity that `User` and `Group` name (a name or `#id`; Group defaults to the user's own). Undefined
 * when there is nothing to drop: no User line, or not started by root (httpd ignores both then, and so do we).
 * Throws PrivilegeError for names the system doesn't know.
 */
export function resolveIdentity(user: string | undefined, group: string | undefined): Identity | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (user === undefined) {
    // Without a User it has no effect, but a name there is not is a mistake all the same.
    if (group !== undefined) groupId(group);
    return undefined;
  }
  const entry = user.startsWith('#') ? byId(user) : byName(user);
  const gid = group === undefined ? entry.gid : groupId(group);
  return { user: entry.user, uid: entry.uid, gid };
}

/** Becomes `identity` for good. Throws PrivilegeError if root's rights could be had back. */
export function dropPrivileges(identity: Identity | undefined): void {
  if (!identity || identity.uid === 0) return;
  // At its end, when Node does it, this process may not write there any more.
  flushCompileCache();
  initgroups(identity);
  process.setgid?.(identity.gid);
  process.setuid?.(identity.uid);
  if (process.getuid?.() !== identity.uid || regainsRoot()) {
    throw new PrivilegeError(`could not become user ${identity.user}`);
  }
}

/** Missing from Node's type declarations. */
function initgroups({ user, gid }: Identity): void {
  const { initgroups: init } = process as { initgroups?: (user: string, group: number) => void };
  if (init) init.call(process, user, gid);
  else process.setgroups?.([gid]);
}

function regainsRoot(): boolean {
  try {
    process.setuid?.(0);
    return true;
  } catch {
    return false;
  }
}

function byName(name: string): Identity {
  const fields = databaseLine('passwd', name);
  if (!fields) throw new PrivilegeError(`AH00543: bad user name ${name}: the system has no such user`);
  return { user: name, uid: Number(fields[2]), gid: Number(fields[3]) };
}

function byId(written: string): Identity {
  const uid = numericId(written);
  const fields = databaseLine('passwd', String(uid));
  return { user: fields?.[0] ?? String(uid), uid, gid: fields ? Number(fields[3]) : uid };
}

function groupId(written: string): number {
  if (written.startsWith('#')) return numericId(written);
  const fields = databaseLine('group', written);
  if (!fields) throw new PrivilegeError(`AH00544: bad group name ${written}: the system has no such group`);
  return Number(fields[2]);
}

function numericId(written: string): number {
  const id = Number(/^#(\d+)$/.exec(written)?.[1]);
  // The largest of 32 bits means "leave it as it is" to the system.
  if (Number.isNaN(id) || id >= 0xffff_ffff) throw new PrivilegeError(`${written} is not a numeric id`);
  return id;
}

/** A line of /etc/passwd or /etc/group by name or id; names from LDAP and the like come through getent. */
function databaseLine(database: 'passwd' | 'group', key: string): string[] | undefined {
  const lines = readFileSync(`/etc/${database}`, 'utf8').split('\n');
  const found = lines
    .map((line) => line.split(':'))
    .find((f) => f[0] === key || (f[2] === key && /^\d+$/.test(key)));
  if (found) return found;
  try {
    return execFileSync('getent', [database, key], { encoding: 'utf8', timeout: 5000 }).trim().split(':');
  } catch {
    return undefined;
  }
}
