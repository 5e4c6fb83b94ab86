/**
 * Files that TLS needs beyond the servers' own certificates: authorities, revocation lists, and what we show to
 * backends. Whoever started the server reads them, and gives the workers what is in them.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { explain } from '../base/errors.ts';
import { backendFilesOf, backendValues } from '../config/backend-tls.ts';
import { ConfigError } from '../config/errors.ts';
import type { BackendTlsValues, Settings, Warning } from '../config/settings.ts';
import { listsOf } from '../tls/revocation.ts';
import { TICKET_KEY_SIZE } from '../tls/ticket-keys.ts';
import { machineCertificates, onePerKeyType } from '../tls/machine-certificates.ts';

/** By path. */
export type Pems = Readonly<Record<string, string>>;

export interface TlsFiles {
  /** Of authorities and lists for client certificates. */
  readonly clientCas: Pems;
  /** Of authorities for backends, and of certificates and keys to show them. */
  readonly backendPems: Pems;
  /** Base64 of what is in files of SSLSessionTicketKeyFile. */
  readonly ticketKeyFiles: Readonly<Record<string, string>>;
  readonly warnings: readonly Warning[];
}

/** @throws ConfigError where a file can't be read, or holds nothing of use */
export function readTlsFiles(settings: Settings): TlsFiles {
  const clients = [settings.base, ...settings.hosts].flatMap(({ tls }) => [
    tls.clientCa,
    tls.clientCaPath,
    ...(tls.clientRevocation?.paths ?? []),
  ]);
  const values = backendValues(settings);
  const backendPems = readAll(values.flatMap(backendFilesOf));
  const warnings = values.flatMap((each) => checkMachine(each, backendPems));
  checkLists(values, backendPems);
  return {
    clientCas: readAll(clients.filter((path) => path !== undefined)),
    backendPems,
    ticketKeyFiles: readTicketKeys(settings),
    warnings,
  };
}

function readTicketKeys({ base, hosts }: Settings): Readonly<Record<string, string>> {
  const files = [base, ...hosts].flatMap(({ tls }) => tls.sessions.ticketKeyFile ?? []);
  return Object.fromEntries([...new Set(files)].map((file) => [file, readTicketKey(file)]));
}

function readTicketKey(file: string): string {
  const key = Buffer.from(readPem(file), 'latin1');
  if (key.length === TICKET_KEY_SIZE) return key.toString('base64');
  throw new ConfigError(
    `SSLSessionTicketKeyFile: ${file} has ${key.length} bytes and not ${TICKET_KEY_SIZE}: make one with openssl rand -out ${file} ${TICKET_KEY_SIZE}`,
  );
}

function readAll(paths: readonly string[]): Pems {
  return Object.fromEntries([...new Set(paths)].map((path) => [path, readPem(path)]));
}

/** Of files in a folder at most, and of bytes in all of them. */
const MOST_FILES = 2000;
const MOST_BYTES = 16 * 1024 * 1024;

function readPem(path: string): string {
  try {
    return statSync(path).isDirectory() ? readFolder(path) : readFileSync(path, 'latin1');
  } catch (error) {
    throw new ConfigError(`${path}: ${explain(error)}`);
  }
}

/** What is called as OpenSSL looks for it (`c_rehash`), and whatever says that it is a certificate. */
function readFolder(folder: string): string {
  const names = readdirSync(folder).filter((name) => /\.(?:r?\d+|pem|crt|cer|crl)$/i.test(name));
  if (names.length > MOST_FILES) throw new Error(`more than ${MOST_FILES} files`);
  const texts = new Set<string>();
  let bytes = 0;
  for (const name of names.toSorted()) {
    const text = readFileSync(join(folder, name), 'latin1');
    bytes += text.length;
    if (bytes > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`);
    // Names made by c_rehash lead to the same files once more.
    if (text.includes('-----BEGIN ')) texts.add(text);
  }
  return [...texts].join('\n');
}

/** Of places that are laid over each other: what one asks for another may have. */
function checkLists(values: readonly BackendTlsValues[], pems: Pems): void {
  const paths = values
    .flatMap(({ crlFile, crlPath }) => [crlFile, crlPath])
    .filter((path) => path !== undefined);
  const asking = values.find(({ crlCheck }) => crlCheck !== undefined && crlCheck.check !== 'none');
  if (asking && paths.length === 0)
    throw new ConfigError(
      'AH01899: CRL checking has been enabled, but neither SSLProxyCARevocationFile nor SSLProxyCARevocationPath is configured',
      asking.crlCheck?.at,
    );
  for (const path of paths) {
    try {
      listsOf({ crls: pems[path] ?? '', check: 'leaf', optional: true });
    } catch (error) {
      throw new ConfigError(`${path}: ${explain(error)}`);
    }
  }
}

function checkMachine({ machine = [], machineChain }: BackendTlsValues, pems: Pems): Warning[] {
  const found = machine.flatMap(({ certificateFile, keyFile, at }) => {
    try {
      const all = machineCertificates(
        pems[certificateFile] ?? '',
        pems[keyFile] ?? '',
        pems[machineChain ?? ''],
      );
      return all.map((one) => ({ ...one, certificateFile, at }));
    } catch (error) {
      throw new ConfigError(`${certificateFile}: ${explain(error)}`, at);
    }
  });
  const kept = onePerKeyType(found);
  return found
    .filter((one) => !kept.includes(one))
    .map(({ keyType, certificateFile, at }) => ({
      ...at,
      module: 'ssl',
      message: `${certificateFile} is not shown to backends: there is another certificate with a key of type ${keyType} before it`,
    }));
}
