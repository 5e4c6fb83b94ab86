/**
 * All that the three kinds of process say to each other. The supervisor may be root: what it does for the
 * engine is what SupervisorCalls lists and nothing else: reading any part of the store (domains, accounts and archive
 * among it) and configured certificate files, activating domains of the configuration and of names that may be ordered
 * on demand, removing those of the latter, running the configured command once it has, asking the workers.
 */
import type { DynamicStatus, Sought } from '../certificates/sources/dynamic.ts';
import type { WantedName } from '../certificates/sources/names.ts';
import type { CertificateSet } from '../certificates/table.ts';
import type { Settings } from '../config/settings.ts';
import type { StatusDocument, StatusQuery, WorkerLoad, WorkerStatus } from '../status/document.ts';
import type { Pair } from '../store-server/protocol.ts';
import type { Group } from '../store/store.ts';

/** What a child needs to begin, and again at each reload. Plain data. */
export interface Plan {
  /** Counts reloads; logs and status show it. */
  readonly generation: number;
  readonly settings: Settings;
  /** For the base server (index 0) and each virtual host (index + 1): the id of its certificate set. */
  readonly setIds: readonly (string | undefined)[];
  /** See TlsFiles. */
  readonly clientCas: Readonly<Record<string, string>>;
  readonly backendPems: Readonly<Record<string, string>>;
  readonly ticketKeyFiles: Readonly<Record<string, string>>;
}

/** Where a child drops its privileges to, and what it shares with the others. */
export interface Birth {
  readonly identity: Identity | undefined;
  /** Folder of the certificate table and the control socket. */
  readonly runtimeDir: string;
  readonly plan: Plan;
  /** Keys of session tickets, shared by the workers (see TicketKeys); none for the engine. */
  readonly ticketKeys: readonly Uint8Array[];
  /** Key of the store (the engine's only). */
  readonly storeKey: Uint8Array | undefined;
  /** The first engine of a server begins with an empty certificate table. */
  readonly freshTable: boolean;
}

export interface Identity {
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
}

/** One certificate with its key as found in files. */
export interface CredentialPem {
  readonly chainPem: string;
  readonly keyPem: string;
}

export interface LoadedCredential {
  readonly id: string;
  /** Whose it is, for people: a file or a managed domain. */
  readonly source: string;
  readonly pems: readonly CredentialPem[];
  /** What to serve while none of `pems` is good. */
  readonly stopgap: readonly CredentialPem[];
  /** Why there is nothing to serve. */
  readonly problem: string | undefined;
}

export interface Verification {
  readonly worker: number;
  /** Serials the worker's own accept path has shown; undefined where no address has the name looked for by name. */
  readonly serials: readonly string[] | undefined;
  readonly problem: string | undefined;
}

/** Offered by the supervisor to the engine. */
export type SupervisorCalls = {
  loadCredentials: (ids: readonly string[]) => LoadedCredential[];
  storeLoad: (at: StoreAddress) => Uint8Array | undefined;
  storeList: (group: Group) => string[];
  storeAspects: (at: Omit<StoreAddress, 'aspect'>) => string[];
  storeModified: (at: StoreAddress) => number | undefined;
  /** Gives what the store has for the domain afterwards, too. */
  activate: (wanted: { readonly domain: string; readonly serials: readonly string[] }) => {
    readonly serials: readonly string[];
    readonly credential: LoadedCredential;
  };
  /** Removes the certificates of a domain that was obtained on demand. */
  discard: (domain: string) => void;
  /** Tells MDMessageCmd, where there is one, of what was activated: once for each activation. */
  tellInstalled: (domain: string) => Told;
  /** The PEM of a file that MDCertificateFile names. */
  certificateFile: (file: string) => string;
  /** Asks every worker to show what it serves for a set, by a handshake. */
  verify: (request: VerifyRequest) => Verification[];
  /** Those that have begun, with what each has to do at the moment. */
  workers: () => readonly WorkerStatus[];
};

/** What came of telling a command; it has run unless there is none. */
export interface Told {
  readonly ran: boolean;
  readonly problem?: string | undefined;
}

export interface StoreAddress {
  readonly group: Group;
  readonly name: string;
  readonly aspect: string;
}

export interface VerifyRequest {
  readonly setId: string;
  readonly name: string;
  /** Of the certificate table, where `name` leads to the set; undefined: hosts have it by the configuration. */
  readonly scope: string | undefined;
  /** `rsa`, `ec`: one handshake for each. */
  readonly keyTypes: readonly string[];
}

/** The id of a managed domain's certificate set. */
export function domainSetId(domain: string): string {
  return `md:${domain}`;
}

/** The other way round; undefined for other sets. */
export function domainOfSet(setId: string): string | undefined {
  return setId.startsWith('md:') ? setId.slice('md:'.length) : undefined;
}

/** Of the certificate table: names of managed domains that were added at run time. */
export const ADDED_SCOPE = 'added';

/** A set, or why there is none to serve. */
export type Wanted = { readonly set: Omit<CertificateSet, 'version'> } | { readonly problem: string };

/** What the engine alone knows, and others tell of it. */
export type StatusCalls = {
  status: (query: StatusQuery) => StatusDocument;
  /** Prometheus' text format. */
  metrics: (argument: undefined) => string;
};

/** Of certificates by name. */
export interface NamesStatus extends DynamicStatus {
  /** The engine's. */
  readonly pid: number;
}

/** Certificates by name: those of stores, and those obtained on demand. */
export type NamesCalls = {
  /** No name in the table leads to a certificate for `name`. */
  seek: (wanted: WantedName) => Sought;
  /** Ids of what has been served since the last call. */
  used: (ids: readonly string[]) => void;
  /** Of one name, or of all: gives why it could not be done. */
  flushNames: (name: string | undefined) => { readonly problem: string | undefined };
  dynamicStatus: (argument: undefined) => NamesStatus;
};

/** The store protocol: what SetHandler dynssl-store hands out. */
export type StoreServerCalls = {
  /** Of a name (of serverNameOf()): from managed domains and the folders of DynSSLServeFolder. */
  findPair: (name: string) => Pair | undefined;
};

/** Offered by the supervisor to each worker. Calls about the status reject while the engine is away. */
export type RelayCalls = StatusCalls &
  NamesCalls &
  StoreServerCalls & {
    /** The table has no such set: fulfilled when it has, with the set itself (the table may be full). */
    want: (setId: string) => Wanted;
  };

/** Offered by both kinds of children: a reload is prepared everywhere, then committed everywhere. */
export type ReloadCalls = {
  prepare: (plan: Plan) => void;
  commit: (generation: number) => void;
  rollback: (generation: number) => void;
};

export type EngineCalls = ReloadCalls &
  StatusCalls &
  NamesCalls &
  StoreServerCalls & {
    /** Gives the table's generation: another one than before means that readers have to open it anew. */
    begin: (birth: Birth) => string;
    /** The workers listen: from now on CAs may be asked, and the table be filled. */
    serve: (argument: undefined) => void;
    want: (setId: string) => Wanted;
    workerDied: (argument: undefined) => void;
  };

export type WorkerCalls = ReloadCalls & {
  begin: (birth: Birth) => void;
  verify: (request: VerifyRequest) => readonly string[] | undefined;
  load: (argument: undefined) => WorkerLoad;
  reopenTable: (argument: undefined) => void;
  /** Others than at birth. */
  changeTicketKeys: (keys: readonly Uint8Array[]) => void;
  stopListening: (argument: undefined) => void;
  /** Fulfilled when the last connection has ended. */
  drain: (argument: undefined) => void;
};
