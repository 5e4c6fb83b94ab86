/** Foreign clients as a user runs them, and what a server showed them. All connect to 127.0.0.1. */
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { run } from '../latchkey.testing.ts';

/** Names in a certificate, without `DNS:`. */
export function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return subjectAltName.split(', ').map((name) => name.replace(/^DNS:/, ''));
}

export interface Shown {
  /** The leaf first; empty where the handshake failed before it. */
  readonly chain: readonly X509Certificate[];
  /** The handshake was completed. */
  readonly done: boolean;
  /** Chain and name are good by `ca`. */
  readonly verified: boolean;
  /** `h2`, or undefined. */
  readonly alpn: string | undefined;
  /** `TLSv1.3` … */
  readonly protocol: string | undefined;
  /** All that it said. */
  readonly output: string;
}

/** A handshake by `openssl s_client`; without `name`, no SNI is sent. */
export async function handshake(
  port: number,
  { name, ca, args = [] }: { name?: string; ca?: string; args?: readonly string[] },
): Promise<Shown> {
  const sni = name === undefined ? ['-noservername'] : ['-servername', name, '-verify_hostname', name];
  const trust = ca === undefined ? [] : ['-CAfile', ca];
  const where = ['s_client', '-connect', `127.0.0.1:${port}`, '-showcerts'];
  const { code, stdout, stderr } = await run('openssl', [...where, ...sni, ...trust, ...args]);
  const output = stdout + stderr;
  const pems = output.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return {
    chain: pems.map((pem) => new X509Certificate(pem)),
    done: code === 0 && /New, TLSv1\.\d, Cipher is (?!\(NONE\))/.test(output),
    verified: ca !== undefined && output.includes('Verify return code: 0 (ok)'),
    alpn: /ALPN protocol: (\S+)/.exec(output)?.[1],
    protocol: /New, (TLSv1\.\d)/.exec(output)?.[1],
    output,
  };
}

export interface Answer {
  /** curl's exit code. */
  readonly code: number;
  /** `2` or `1.1`. */
  readonly version: string | undefined;
  readonly status: number;
  /** Absolute, of a redirect. */
  readonly location: string | undefined;
  readonly body: string;
  readonly stderr: string;
}

/** A request by curl to `url`, whose host is taken to be 127.0.0.1. */
export async function curl(url: string, ...args: readonly string[]): Promise<Answer> {
  const { hostname, port } = new URL(url);
  const mark = '\n--written by curl--';
  const format = `${mark}%{http_version} %{response_code} %{redirect_url}`;
  const base = ['-sS', '--noproxy', '*', '--max-time', '60', '--resolve', `${hostname}:${port}:127.0.0.1`];
  const { code, stdout, stderr } = await run('curl', [...base, '-w', format, ...args, url]);
  const [body = '', written = ''] = stdout.split(mark);
  const [version, status, location] = written.split(' ');
  return { code, version, status: Number(status), location: location || undefined, body, stderr };
}

/** Of each of two connections: the version, whether it went on where the first was, and what was answered. */
const PYTHON = `
import socket, ssl, sys
port, name, ca, version = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
request = f"GET / HTTP/1.1\\r\\nHost: {name}\\r\\nConnection: close\\r\\n\\r\\n".encode()
session = None
for _ in range(2):
    with socket.create_connection(("127.0.0.1", port)) as tcp:
        with context.wrap_socket(tcp, server_hostname=name, session=session) as tls:
            tls.sendall(request)
            answer = b""
            while chunk := tls.recv(65536):
                answer += chunk
            session = tls.session
            body = answer.split(b"\\r\\n\\r\\n")[1].decode().strip()
            print(tls.version(), "resumed" if tls.session_reused else "new", body)
`;

/** Two requests by Python's ssl, which verifies chain and name by the file `ca`: a line for each. */
export async function python(
  port: number,
  { name, ca, version }: { name: string; ca: string; version: 'TLSv1_2' | 'TLSv1_3' },
): Promise<string> {
  const { stdout, stderr } = await run('python3', ['-c', PYTHON, `${port}`, name, ca, version]);
  return stdout + stderr;
}

/**
 * What gnutls-cli prints for a handshake and an HTTP/1.1 request on the connection. It verifies the chain by the
 * file `ca`. Its input stays open until the answer's end is there: some servers take an end of input for a good-bye.
 */
export function gnutls(
  port: number,
  { name, ca, args = [] }: { name: string; ca: string; args?: readonly string[] },
): Promise<string> {
  const names = ['--sni-hostname', name, '--verify-hostname', name, '--x509cafile', ca];
  const child = spawn('gnutls-cli', [...names, ...args, '--port', `${port}`, '127.0.0.1']);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let output = '';
  const add = (chunk: Buffer) => {
    output += chunk.toString('latin1');
    if (output.includes('Peer has closed')) child.stdin.end();
  };
  child.stdout.on('data', add);
  child.stderr.on('data', add);
  child.once('error', reject).once('close', () => resolve(output));
  // It may have gone by now, refused.
  child.stdin.on('error', () => {});
  child.stdin.write(`GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
  return promise;
}
