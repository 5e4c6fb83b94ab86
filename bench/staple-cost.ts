/**
 * What a staple costs: server CPU per full TLS 1.3 handshake with one request, of clients that ask for an OCSP
 * response and of clients that don't, at one server with one worker, in rounds that take turns. The certificate
 * (P-256) and its response are those of the embedded CA.
 *
 *     npm run bench:staples [-- ROUNDS SECONDS WARM-UP-SECONDS]
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { binary, eventually, freePorts, run } from '../test/latchkey.testing.ts';
import { handshakeOf, latchkey, median, RunningPeer, type Peer, type Place } from './peers.ts';
import { LOAD_CORE, medianRatio, SERVER_CORE, takeTurns } from './rounds.ts';

const NAME = 'stapled.localhost';
const [rounds = 7, seconds = 4, warmUp = 25] = process.argv.slice(2).map(Number);
const [http = 0, https = 0, ca = 0] = await freePorts(3);

const stapling: Peer = {
  ...latchkey,
  prepare({ dir, port }: Place) {
    writeFileSync(
      join(dir, 'latchkey.conf'),
      `Workers 1
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${port}
TLSEngine 127.0.0.1:${port}
Protocols h2 http/1.1 acme-tls/1
LocalCA on 127.0.0.1:${ca}
LocalCAPorts http:${http} https:${port}
MDCertificateAuthority local
MDCertificateAgreement accepted
MDPrivateKeys secp256r1
MDPortMap http:${http} https:${port}
MDStapling on
MDomain ${NAME}
<VirtualHost *:${http} *:${port}>
  ServerName ${NAME}
  DocumentRoot ${dir}/htdocs
</VirtualHost>
`,
    );
    return [binary, '-d', dir, '-f', 'latchkey.conf', '-X'];
  },
};

/** The response that a handshake brings, if any. */
async function staple(): Promise<Buffer | undefined> {
  const socket = connect({
    host: '127.0.0.1',
    port: https,
    servername: NAME,
    rejectUnauthorized: false,
    requestOCSP: true,
  });
  let response: Buffer | undefined;
  socket.on('OCSPResponse', (der: Buffer | null) => (response = der ?? undefined));
  await once(socket, 'secureConnect');
  socket.destroy();
  return response;
}

/** `openssl s_time` can't ask for a response: the load is a program of ours, pinned like it. */
async function load(kind: 'status' | 'plain', time: number): Promise<number> {
  const program = join(import.meta.dirname, 'staple-load.ts');
  const command = [process.execPath, program, `${https}`, NAME, `${time}`, kind];
  const { stdout, stderr } = await run('taskset', ['-c', `${LOAD_CORE}`, ...command]);
  const done = Number(stdout);
  if (!(done > 0)) throw new Error(`no handshake succeeded: ${stderr}`);
  return done;
}

const dir = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
try {
  await using server = await RunningPeer.start(
    stapling,
    { dir, port: https, cert: '', key: '' },
    SERVER_CORE,
  );
  const { length } = await eventually('a staple', staple, 60);
  console.log(`Latchkey ${latchkey.version}, a response of ${length} bytes`);
  console.log(`plain:  ${handshakeOf(https, '-servername', NAME)}`);
  console.log(`status: ${handshakeOf(https, '-servername', NAME, '-status')}`);
  for (const kind of ['plain', 'status'] as const) await load(kind, warmUp / 2);
  const contestants = (['plain', 'status'] as const).map((name) => ({
    name,
    server,
    load: (time: number) => load(name, time),
  }));
  const costs = await takeTurns(contestants, { rounds, seconds });
  const [plain = [], status = []] = [costs.get('plain'), costs.get('status')];
  console.log('\n| clients | ms CPU per handshake (median) | ratio (median of the rounds) |\n|---|---|---|');
  console.log(`| without status_request | ${median(plain).toFixed(3)} | 1.00 x |`);
  console.log(
    `| with status_request | ${median(status).toFixed(3)} | ${medianRatio(status, plain).toFixed(2)} x |`,
  );
} finally {
  rmSync(dir, { recursive: true, force: true });
}
