/**
 * The servers that bench:names compares, each with a certificate of its own for every name: Latchkey with a
 * certificate store, nginx with `ssl_certificate $ssl_server_name`, HAProxy and Caddy with a folder that they load.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binary, missing } from '../test/latchkey.testing.ts';
import { cpuOfTree, descendants, firstLine, pssOf } from './peers.ts';

export interface Names {
  /** Has `pairs/NAME.crt`, `pairs/NAME.key`, and both in `pems/NAME.pem`. */
  readonly dir: string;
  readonly port: number;
  /** Of the certificate store. */
  readonly storePort: number;
  /** Whether Latchkey keeps what it has fetched over a restart, in `dir/snapshot`. */
  readonly snapshot: boolean;
}

/** A folder for the names that stays (`kept`), or is removed with its owner. */
export function placeOf(kept: string | undefined): AsyncDisposable & { readonly dir: string } {
  const dir = kept ?? mkdtempSync(join(tmpdir(), 'latchkey-names-'));
  return {
    dir,
    async [Symbol.asyncDispose]() {
      if (kept === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}

export interface Contestant {
  readonly name: string;
  readonly version: string;
  /** Why it can't run here, or undefined. */
  readonly missing: string | undefined;
  /** Command line of a foreground process. */
  prepare(names: Names): readonly [command: string, ...args: string[]];
}

export const latchkey: Contestant = {
  name: 'Latchkey',
  version: `(Node.js ${firstLine(process.execPath, ['--version'])})`,
  missing: undefined,
  prepare({ dir, port, storePort, snapshot }) {
    mkdirSync(join(dir, 'logs'), { recursive: true });
    writeFileSync(
      join(dir, 'latchkey.conf'),
      `Workers 1
Listen 127.0.0.1:${port} https
DynSSLEnable on
DynSSLStoreURL http://127.0.0.1:${storePort}/certs
DynSSLSharedCache 4g
${snapshot ? `DynSSLSnapshot ${dir}/snapshot` : ''}
<VirtualHost *:${port}>
  ServerName _default_
  SSLEngine on
  SSLCertificateFile ${dir}/fallback.crt
  SSLCertificateKeyFile ${dir}/fallback.key
</VirtualHost>
`,
    );
    return [binary, '-d', dir, '-f', 'latchkey.conf', '-X'];
  },
};

export const nginx: Contestant = {
  name: 'nginx',
  version: firstLine('nginx', ['-v']).replace('nginx version: nginx/', ''),
  missing: missing('nginx'),
  prepare({ dir, port }) {
    writeFileSync(
      join(dir, 'nginx.conf'),
      `daemon off; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/nginx.log; user root;
events { worker_connections 4096; }
http {
  access_log off;
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${dir}/pairs/$ssl_server_name.crt; ssl_certificate_key ${dir}/pairs/$ssl_server_name.key;
    return 200;
  }
}
`,
    );
    return ['nginx', '-c', join(dir, 'nginx.conf'), '-p', dir];
  },
};

export const haproxy: Contestant = {
  name: 'HAProxy',
  version: firstLine('haproxy', ['-v']).replace(/^.*version (\S+).*$/, '$1'),
  missing: missing('haproxy'),
  prepare({ dir, port }) {
    writeFileSync(
      join(dir, 'haproxy.cfg'),
      `global
  nbthread 1
defaults
  mode http
  timeout client 10s
frontend names
  bind 127.0.0.1:${port} ssl crt ${dir}/pems/
  http-request return status 200
`,
    );
    return ['haproxy', '-f', join(dir, 'haproxy.cfg')];
  },
};

export const caddy: Contestant = {
  name: 'Caddy',
  version: firstLine('caddy', ['version']),
  missing: missing('caddy'),
  prepare({ dir, port }) {
    const server = {
      listen: [`127.0.0.1:${port}`],
      automatic_https: { disable: true },
      tls_connection_policies: [{}],
      routes: [{ handle: [{ handler: 'static_response' }] }],
    };
    const apps = {
      http: { servers: { names: server } },
      tls: { certificates: { load_folders: [join(dir, 'pems')] }, cache: { capacity: 1_000_000 } },
    };
    const settings = {
      admin: { disabled: true },
      storage: { module: 'file_system', root: join(dir, 'caddy') },
      apps,
    };
    writeFileSync(join(dir, 'caddy.json'), JSON.stringify(settings));
    return ['caddy', 'run', '--config', join(dir, 'caddy.json')];
  },
};

/** A process that ends with its owner. */
export class Running implements AsyncDisposable {
  readonly #process: ChildProcess;

  constructor([command, ...args]: readonly [string, ...string[]], core: number) {
    this.#process = spawn('taskset', ['-c', `${core}`, command, ...args], { stdio: 'ignore' });
  }

  /** ms of CPU time so far, of all its processes. */
  cpu(): number {
    return cpuOfTree(this.#process.pid ?? 0);
  }

  /** MB of each process (PSS). */
  memory(): number[] {
    return descendants(this.#process.pid ?? 0).map((pid) => pssOf(pid) / 1024);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    await ended;
  }
}
