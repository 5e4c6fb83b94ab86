/** What SSLProxy… and TLSProxy… say of a request's backend, as what a connection to it is made with. */
import { createHash } from 'node:crypto';
import { getCACertificates } from 'node:tls';
import { LRUCache } from 'lru-cache';
import { LatchkeyError } from '../../base/errors.ts';
import { chooseCiphers } from '../../config/ciphers.ts';
import type { BackendTls, BackendTlsValues, Settings } from '../../config/settings.ts';
import { backendFilesOf } from '../../config/backend-tls.ts';
import { backendOptions } from '../../tls/backend.ts';
import type { BackendOptions, BackendPolicy } from '../../tls/backend.ts';
import { machineCertificates } from '../../tls/machine-certificates.ts';

/** More than a configuration has; a context takes 40 KB, with the system's authorities far more. */
const MOST_BACKENDS = 64;

export interface Backend {
  /** Equal where connections may be shared. */
  readonly id: string;
  readonly policy: BackendPolicy;
  readonly options: BackendOptions;
}

/** PEM of the files and folders that a configuration names for backends, by path. */
export type BackendFiles = Readonly<Record<string, string>>;

export class Backends {
  readonly #roots: readonly string[] | undefined;
  readonly #files: (settings: Settings) => BackendFiles;
  /** Those of a configuration that is gone go with it. */
  readonly #ids = new WeakMap<BackendTlsValues, string>();
  readonly #made = new LRUCache<string, Backend>({ max: MOST_BACKENDS });

  constructor(roots: readonly string[] | undefined, files: (settings: Settings) => BackendFiles) {
    this.#roots = roots;
    this.#files = files;
  }

  /** @throws LatchkeyError where the files can't be used */
  of(settings: Settings, { tlsEngine, ssl, tls }: BackendTls = {}): Backend {
    const values = (tlsEngine === true ? tls : ssl) ?? nothingSaid;
    const id = this.#idOf(values, settings);
    let backend = this.#made.get(id);
    if (!backend) {
      const policy = this.#policy(values, this.#files(settings));
      this.#made.set(id, (backend = { id, policy, options: backendOptions(policy) }));
    }
    return backend;
  }

  #idOf(values: BackendTlsValues, settings: Settings): string {
    const known = this.#ids.get(values);
    if (known !== undefined) return known;
    const files = this.#files(settings);
    const pems = backendFilesOf(values).map((path) => pemAt(path, files));
    const id = createHash('sha256')
      .update(JSON.stringify([values, pems]))
      .digest('base64url');
    this.#ids.set(values, id);
    return id;
  }

  #policy(values: BackendTlsValues, files: BackendFiles): BackendPolicy {
    const { caFile, caPath, checkName, checkCommonName } = values;
    const own = [caFile, caPath].filter((path) => path !== undefined).map((path) => pemAt(path, files));
    const { ciphers, ciphersuites, versions } = ciphersOf(values);
    return {
      minVersion: versions.min,
      maxVersion: versions.max,
      ciphers,
      ciphersuites,
      roots: own.length > 0 ? own : (this.#roots ?? systemRoots()),
      machine: (values.machine ?? []).flatMap(({ certificateFile, keyFile }) =>
        machineCertificates(
          pemAt(certificateFile, files),
          pemAt(keyFile, files),
          values.machineChain === undefined ? '' : pemAt(values.machineChain, files),
        ),
      ),
      revocation: revocationOf(values, files),
      verify: values.verify ?? 'require',
      depth: values.depth,
      // As mod_ssl reads the two: the common name's off counts where nothing is said of the other.
      checkName: checkName ?? checkCommonName ?? true,
      checkExpiry: values.checkExpiry ?? true,
    };
  }
}

const nothingSaid: BackendTlsValues = {};

function pemAt(path: string, files: BackendFiles): string {
  const pem = files[path];
  if (pem !== undefined) return pem;
  throw new LatchkeyError('backend-file-unread', `${path} is of a configuration that is no longer in force`);
}

function revocationOf({ crlCheck, crlFile, crlPath }: BackendTlsValues, files: BackendFiles) {
  if (!crlCheck || crlCheck.check === 'none') return undefined;
  const paths = [crlFile, crlPath].filter((path) => path !== undefined);
  return {
    check: crlCheck.check,
    optional: crlCheck.optional,
    crls: paths.map((path) => pemAt(path, files)).join('\n'),
  };
}

function ciphersOf(values: BackendTlsValues) {
  const { preferred = [], suppressed = [], versions = { min: 'TLSv1.2', max: 'TLSv1.3' } } = values;
  const chosen = chooseCiphers({ preferred, suppressed }, versions);
  if (!chosen) throw new LatchkeyError('backend-no-cipher', 'TLSProxyCiphersSuppress leaves no cipher');
  return {
    ciphers: values.ciphers ?? chosen.ciphers,
    ciphersuites: values.ciphersuites ?? chosen.ciphersuites,
    versions: chosen.versions,
  };
}

function systemRoots(): readonly string[] {
  return [...getCACertificates('default'), ...getCACertificates('system')];
}
