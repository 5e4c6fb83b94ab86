/**
 * The servers that are compared: each started with the same certificate and file, pinned to one core, one
 * worker, access logs off, session tickets on. Their cost is the CPU time of all their processes.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { binary, eventually, missing } from '../test/latchkey.testing.ts';

export interface Place {
  readonly dir: string;
  readonly port: number;
  readonly cert: string;
  readonly key: string;
}

export interface Peer {
  readonly name: string;
  readonly version: string;
  /** Why it can't run here, or undefined. */
  readonly missing: string | undefined;
  /** Command line of a foreground process that serves `place.dir/htdocs` on 127.0.0.1:port over HTTPS. */
  prepare(place: Place): readonly [command: string, ...args: string[]];
}

export const nginx: Peer = {
  name: 'nginx',
  version: firstLine('nginx', ['-v']).replace('nginx version: nginx/', ''),
  missing: missing('nginx'),
  prepare({ dir, port, cert, key }) {
    const file = join(dir, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/nginx.log; user root;
events { worker_connections 4096; }
http {
  access_log off; default_type text/html;
  server {
    listen 127.0.0.1:${port} ssl http2; server_name localhost; root ${dir}/htdocs;
    ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.2 TLSv1.3;
  }
}
`,
    );
    return ['nginx', '-c', file, '-p', dir];
  },
};

export const apache: Peer = {
  name: 'Apache',
  version: firstLine('apache2', ['-v']).replace(/^.*Apache\/(\S+).*$/, '$1'),
  missing: missing('apache2'),
  // With fewer threads than there are clients at once it closes connections that others keep.
  prepare({ dir, port, cert, key }) {
    const file = join(dir, 'apache.conf');
    const modules = ['mpm_event', 'authz_core', 'dir', 'mime', 'ssl', 'http2', 'socache_shmcb'];
    writeFileSync(
      file,
      `ServerRoot ${dir}
${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
PidFile ${dir}/apache.pid
ErrorLog ${dir}/apache.log
User www-data
Group www-data
ServerLimit 1
StartServers 1
ThreadLimit 128
ThreadsPerChild 128
MaxRequestWorkers 128
TypesConfig /dev/null
Listen 127.0.0.1:${port}
ServerName localhost
Protocols h2 http/1.1
SSLEngine on
SSLProtocol -all +TLSv1.2 +TLSv1.3
SSLCertificateFile ${cert}
SSLCertificateKeyFile ${key}
DocumentRoot ${dir}/htdocs
`,
    );
    return ['apache2', '-f', file, '-DFOREGROUND'];
  },
};

export const latchkey: Peer = {
  name: 'Latchkey',
  version: `(Node.js ${firstLine(process.execPath, ['--version'])})`,
  missing: undefined,
  prepare({ dir, port, cert, key }) {
    writeFileSync(
      join(dir, 'latchkey.conf'),
      `Workers 1
Listen 127.0.0.1:${port}
ServerName localhost
<VirtualHost *:${port}>
  ServerName localhost
  Protocols h2 http/1.1
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
  DocumentRoot ${dir}/htdocs
</VirtualHost>
`,
    );
    return [binary, '-d', dir, '-f', 'latchkey.conf', '-X'];
  },
};

export class RunningPeer implements AsyncDisposable {
  readonly peer: Peer;
  readonly place: Place;
  readonly #process: ChildProcess;

  private constructor(peer: Peer, place: Place, process: ChildProcess) {
    this.peer = peer;
    this.place = place;
    this.#process = process;
  }

  /** Fulfilled when it answers. `core`: the processor it is pinned to. */
  static async start(peer: Peer, place: Place, core: number): Promise<RunningPeer> {
    mkdirSync(join(place.dir, 'htdocs'), { recursive: true });
    // Apache's children are www-data, and answer 403 where they can't get at the page.
    for (const dir of [dirname(place.dir), place.dir]) chmodSync(dir, 0o755);
    writeFileSync(join(place.dir, 'htdocs/index.html'), `${'x'.repeat(1023)}\n`);
    const child = spawn('taskset', ['-c', String(core), ...peer.prepare(place)], { stdio: 'ignore' });
    const running = new RunningPeer(peer, place, child);
    await eventually(`${peer.name} to answer`, () => {
      execFileSync('curl', [
        '-sk',
        '--max-time',
        '2',
        '-o',
        '/dev/null',
        `https://127.0.0.1:${place.port}/index.html`,
      ]);
      return true;
    });
    return running;
  }

  /** CPU time of all its processes so far, in ms. */
  cpu(): number {
    return cpuOfTree(this.#process.pid ?? 0);
  }

  /** Resident memory of all its processes, in MB; pages that they share count once (PSS). */
  memory(): number {
    return descendants(this.#process.pid ?? 0).reduce((sum, pid) => sum + pssOf(pid), 0) / 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => {
      this.#process.once('exit', resolve);
    });
    this.#process.kill('SIGTERM');
    await ended;
  }
}

/** Session tickets that a client is sent, and the version and suite it gets: they have to be alike. */
export function handshakeOf(port: number, ...how: readonly string[]): string {
  // It stays until the server has closed the connection, however long that takes.
  const client = ['s_client', '-connect', `127.0.0.1:${port}`, '-ign_eof', ...how];
  const { stdout } = spawnSync('openssl', client, { encoding: 'utf8', input: 'GET / HTTP/1.0\r\n\r\n' });
  const tickets = stdout.match(/Post-Handshake New Session Ticket arrived/g)?.length ?? 0;
  return `${/New, (.*), Cipher is (.*)/.exec(stdout)?.slice(1).join(' ')}, ${tickets} tickets`;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export function descendants(root: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = read(`/proc/${entry}/stat`);
    if (stat) parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const tree = [root];
  for (const parent of tree) for (const [pid, its] of parents) if (its === parent) tree.push(pid);
  return tree;
}

/** CPU time in ms of a process and all below it, those that have ended (and were waited for) included. */
export function cpuOfTree(root: number): number {
  return descendants(root).reduce((sum, pid) => sum + cpuOf(pid), 0);
}

/** User and system time in ms of it and its ended children (the kernel's clock tick is 10 ms). */
function cpuOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
}

/** Resident memory in KB, of shared pages the share. */
export function pssOf(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '')?.[1] ?? 0);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

export function firstLine(command: string, args: readonly string[]): string {
  if (missing(command.split('/').at(-1) ?? '') && !command.startsWith('/')) return '-';
  try {
    return (
      execFileSync('sh', ['-c', `"$0" "$@" 2>&1`, command, ...args], { encoding: 'utf8' }).split('\n')[0] ??
      ''
    );
  } catch {
    return '-';
  }
}
