/**
 * The files that only the supervisor may read, as certificate sets. A set of static files is named after the
 * files' paths, times and sizes: files replaced before a reload are a new set, and one that nothing changed
 * keeps its place in every cache. A managed domain's set is named after the domain.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { explain } from '../../base/errors.ts';
import type { CertificateFiles, HostSettings, Settings } from '../../config/settings.ts';
import { isAdded } from '../../domains/stored/added.ts';
import type { Store } from '../../store/store.ts';
import { readTlsFiles, type TlsFiles } from '../tls-files.ts';
import type { Passphrases } from './passphrases.ts';
import { domainSetId, type CredentialPem, type LoadedCredential } from '../calls.ts';

const PUBCERT = /^(fallback-)?pubcert((?:\.[^.]+)?)\.pem$/;

export class Credentials {
  /** See Plan.setIds. */
  readonly setIds: readonly (string | undefined)[];
  readonly tlsFiles: TlsFiles;
  readonly #files = new Map<string, readonly CertificateFiles[]>();
  readonly #domains: ReadonlySet<string>;
  readonly #store: Store;
  readonly #passphrases: Passphrases;

  /** Throws ConfigError where a file that TLS needs can't be read. */
  constructor(settings: Settings, store: Store, passphrases: Passphrases) {
    this.#store = store;
    this.#passphrases = passphrases;
    this.#domains = new Set(settings.domains.map((domain) => domain.name));
    const hosts = [settings.base, ...settings.hosts];
    this.setIds = hosts.map((host) => this.#register(host));
    this.tlsFiles = readTlsFiles(settings);
  }

  #register(host: HostSettings): string | undefined {
    if (!host.tls.engine) return undefined;
    if (host.tls.certificates.length === 0) return host.managedDomain && domainSetId(host.managedDomain);
    const id = fileSetId(host.tls.certificates);
    this.#files.set(id, host.tls.certificates);
    return id;
  }

  /** Whether the configuration names this set. */
  knows(id: string): boolean {
    return this.#files.has(id) || this.#domains.has(domainOf(id) ?? '');
  }

  /** What `id` names, as PEM. Never rejects: what is wrong is told in `problem`. */
  async load(id: string): Promise<LoadedCredential> {
    const files = this.#files.get(id);
    const source = files?.map((pair) => pair.certificateFile).join(', ') ?? id.replace(/^md:/, '');
    try {
      const found = files
        ? { pems: files.map((pair) => this.#readPair(pair)), stopgap: [] }
        : await this.#loadDomain(id);
      return { id, source, ...found, problem: undefined };
    } catch (error) {
      return { id, source, pems: [], stopgap: [], problem: explain(error) };
    }
  }

  #readPair({ certificateFile, keyFile, chainFile }: CertificateFiles): CredentialPem {
    const certificate = readFileSync(certificateFile, 'latin1');
    const chain = chainFile === undefined ? '' : `\n${readFileSync(chainFile, 'latin1')}`;
    const keyPem = keyFile === certificateFile ? certificate : readFileSync(keyFile, 'latin1');
    return { chainPem: certificate + chain, keyPem: this.#passphrases.opened(keyPem) };
  }

  async #loadDomain(id: string): Promise<Pick<LoadedCredential, 'pems' | 'stopgap'>> {
    const domain = domainOf(id);
    if (domain === undefined || !(this.#domains.has(domain) || (await isAdded(this.#store, domain)))) {
      throw new Error('it is not in the configuration');
    }
    const found: Record<'pems' | 'stopgap', CredentialPem[]> = { pems: [], stopgap: [] };
    for (const aspect of await this.#store.aspects('domains', domain)) {
      const match = PUBCERT.exec(aspect);
      if (!match) continue;
      const [, prefix = '', spec = ''] = match;
      const chain = await this.#store.load('domains', domain, aspect);
      const key = await this.#store.load('domains', domain, `${prefix}privkey${spec}.pem`);
      if (!chain || !key) continue;
      const pair = { chainPem: chain.toString('latin1'), keyPem: key.toString('latin1') };
      found[prefix === '' ? 'pems' : 'stopgap'].push(pair);
    }
    if (found.pems.length + found.stopgap.length === 0)
      throw new Error('the store has no certificate and key for it yet');
    return found;
  }
}

function domainOf(id: string): string | undefined {
  return id.startsWith('md:') ? id.slice(3) : undefined;
}

function fileSetId(files: readonly CertificateFiles[]): string {
  const hash = createHash('sha256');
  for (const { certificateFile, keyFile, chainFile } of files) {
    for (const file of [certificateFile, keyFile, chainFile]) hash.update(`${file}\n${fileState(file)}\n`);
  }
  return `file:${hash.digest('base64url')}`;
}

function fileState(file: string | undefined): string {
  const state = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
  return state ? `${state.mtimeMs} ${state.size} ${state.ino}` : '-';
}
