/**
 * What the supervisor does for the engine with rights that the engine lacks. Each handler checks what it is
 * asked for: the engine talks to the network, the supervisor may be root.
 */
import { readFile } from 'node:fs/promises';
import { CoarseTimers } from '../../base/coarse-timers.ts';
import { explain } from '../../base/errors.ts';
import type { Settings } from '../../config/settings.ts';
import { isAdded } from '../../domains/stored/added.ts';
import { groups, type Group } from '../../store/store.ts';
import {
  domainSetId,
  type SupervisorCalls,
  type StoreAddress,
  type Verification,
  type VerifyRequest,
} from '../calls.ts';
import type { Handlers } from '../peer.ts';
import type { Children } from './children.ts';
import type { Credentials } from './credentials.ts';
import type { InstalledHook } from './installed-hook.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { describeWorkers } from './worker-status.ts';

/** The engine waits for workers no longer than this (ms) before it says which have not shown a certificate. */
const VERIFY_PATIENCE = 10_000;

export interface Rights {
  readonly keeper: StoreKeeper;
  /** Those that know a set. */
  readonly credentials: (id: string) => Credentials;
  readonly children: () => Children;
  readonly installed: InstalledHook;
  /** Now in force. */
  readonly settings: () => Settings;
}

export function supervisorCalls(rights: Rights): Handlers<SupervisorCalls> {
  const store = () => rights.keeper.store;
  const deadlines = new CoarseTimers();
  return {
    loadCredentials: (ids) => Promise.all(ids.map((id) => rights.credentials(id).load(id))),
    storeLoad: (at) => store().load(checkedGroup(at), at.name, at.aspect),
    storeList: (group) => store().list(checkedGroup({ group })),
    storeAspects: (at) => store().aspects(checkedGroup(at), at.name),
    storeModified: (at) => store().modified(checkedGroup(at), at.name, at.aspect),
    activate: (request) => rights.keeper.during(activate(rights, request)),
    discard: (domain) => rights.keeper.during(discard(rights, domain)),
    tellInstalled: (domain) => rights.installed.tell(domain, rights.settings().md.hooks),
    certificateFile: (file) => {
      const files = rights.settings().domains.flatMap(({ staticFiles }) => staticFiles);
      if (files.every(({ certificateFile }) => certificateFile !== file)) {
        throw new Error('not a file of MDCertificateFile');
      }
      return readFile(file, 'latin1');
    },
    verify: (request) => verifyAll(rights.children(), request, deadlines),
    workers: () => describeWorkers(rights.children()),
  };
}

type Activate = SupervisorCalls['activate'];

async function activate(
  rights: Rights,
  { domain, serials }: Parameters<Activate>[0],
): Promise<ReturnType<Activate>> {
  const settings = rights.settings();
  const may =
    isConfigured(settings, domain) ||
    (await isAdded(rights.keeper.store, domain)) ||
    (await isOnDemand(settings, domain));
  if (!may) {
    throw new Error('not a managed domain of the configuration, or one that was added');
  }
  const activation = await rights.keeper.activate(domain, { serials });
  rights.installed.note(domain, activation.serials, rights.settings().md.hooks);
  const id = domainSetId(domain);
  return { serials: activation.serials, credential: await rights.credentials(id).load(id) };
}

async function discard(rights: Rights, domain: string): Promise<void> {
  const may = (await isOnDemand(rights.settings(), domain)) && !(await isAdded(rights.keeper.store, domain));
  if (!may) throw new Error('not a domain on demand');
  await rights.keeper.discard(domain);
}

function isConfigured({ domains }: Settings, domain: string): boolean {
  return domains.some(({ name }) => name === domain);
}

/** Who may have a certificate is for the engine to ask; here it is enough that the name is nobody else's. */
async function isOnDemand(settings: Settings, domain: string): Promise<boolean> {
  if (settings.onDemand.length === 0 || isConfigured(settings, domain)) return false;
  const { refusalOf } = await import('../../domains/on-demand/guards.ts');
  return refusalOf(domain) === undefined;
}

function checkedGroup({ group }: Pick<StoreAddress, 'group'>): Group {
  if (!groups.includes(group)) throw new Error('no such group in the store');
  return group;
}

function verifyAll(
  children: Children,
  request: VerifyRequest,
  deadlines: CoarseTimers,
): Promise<Verification[]> {
  return Promise.all(
    children.workers.map(async ({ pid, peer }): Promise<Verification> => {
      const { promise: patience, reject } = Promise.withResolvers<never>();
      using _late = deadlines.start(() => reject(new Error('no answer in time')), VERIFY_PATIENCE);
      try {
        const serials = await Promise.race([peer.call('verify', request), patience]);
        return { worker: pid, serials, problem: undefined };
      } catch (error) {
        return { worker: pid, serials: [], problem: explain(error) };
      }
    }),
  );
}
