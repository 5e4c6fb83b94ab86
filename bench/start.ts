/**
 * Time from the start command to the first handshake, and memory afterwards, for 1 and for 10,000 virtual hosts
 * with a certificate of their own each; with `stapled`, OCSP responses for all of them are in the store, and their
 * responder is down.
 *
 *     npm run bench:start [-- [stapled] HOSTS …]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { saveResponse } from '../src/ocsp/response-file.ts';
import { idOf } from '../src/ocsp/subject.ts';
import { makeOcspResponse, OcspTestCa } from '../src/pki/ocsp.testing.ts';
import { createFallbackCertificate } from '../src/pki/selfsigned.ts';
import { FsStore } from '../src/store/fs/fs-store.ts';
import { freePorts, TestServer } from '../test/latchkey.testing.ts';
import { descendants, median, pssOf } from './peers.ts';

const ROUNDS = 5;
const DAY = 24 * 3_600_000;
/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1:1/ocsp';
const stapled = process.argv[2] === 'stapled';
const sizes = process.argv.slice(stapled ? 3 : 2).map(Number);

type Make = (name: string) => Promise<{ certPem: string; keyPem: string }>;

/** With the responses in the store. */
async function stapledPairs(dir: string): Promise<Make> {
  const now = Date.now();
  const ca = await OcspTestCa.create(now);
  const store = await FsStore.open({ dir: join(dir, 'md') });
  return async (name) => {
    const { certificate, chainPem, keyPem } = await ca.issue({ names: [name], ocsp: NOWHERE });
    const times = { thisUpdate: now, nextUpdate: now + 3 * DAY };
    const der = await makeOcspResponse({ issuer: ca.certificate, leaf: certificate, signer: ca, ...times });
    const response = { der, status: 'good', from: now, until: now + 3 * DAY } as const;
    await saveResponse(store, 'other', idOf(certificate), response);
    return { certPem: chainPem, keyPem };
  };
}

/** Certificates and configuration for `count` hosts; they are what takes long, and are made once. */
async function prepare(dir: string, count: number, port: number): Promise<void> {
  mkdirSync(join(dir, 'certs'));
  const make: Make = stapled
    ? await stapledPairs(dir)
    : (name) => createFallbackCertificate({ names: [name], now: Date.now() });
  const hosts: string[] = [];
  for (let index = 0; index < count; index++) {
    const name = nameOf(index);
    const { certPem, keyPem } = await make(name);
    writeFileSync(join(dir, `certs/${name}.crt`), certPem);
    writeFileSync(join(dir, `certs/${name}.key`), keyPem);
    hosts.push(`<VirtualHost *:${port}>
  ServerName ${name}
  SSLEngine on
  SSLCertificateFile certs/${name}.crt
  SSLCertificateKeyFile certs/${name}.key
</VirtualHost>`);
  }
  writeFileSync(
    join(dir, 'httpd.conf'),
    `MDStapling ${stapled ? 'on' : 'off'}\nListen 127.0.0.1:${port}\n${hosts.join('\n')}\n`,
  );
}

function nameOf(index: number): string {
  return `host-${index}.example.org`;
}

/** Tries until the host's own certificate is shown; a staple that is missing then is told of. */
async function firstHandshake(port: number, name: string): Promise<void> {
  for (;;) {
    const shown = await new Promise<string | undefined>((resolve) => {
      let staple: Buffer | null = null;
      const to = { port, host: '127.0.0.1', servername: name, rejectUnauthorized: false };
      const socket = connect({ ...to, requestOCSP: stapled }, () => {
        if (stapled && !staple) console.log('  a handshake without a staple');
        resolve(socket.getPeerCertificate().subjectaltname);
        socket.destroy();
      });
      socket.on('OCSPResponse', (der: Buffer | null) => (staple = der));
      socket.once('error', () => resolve(undefined));
    });
    if (shown === `DNS:${name}`) return;
    await delay(5);
  }
}

console.log(`Node.js ${process.version}, ${cpus().length} x ${cpus()[0]?.model}\n`);
console.log(
  '| virtual hosts | start to first handshake, median (all) | memory of all processes (PSS), table included |\n|---|---|---|',
);
for (const count of sizes.length > 0 ? sizes : [1, 10_000]) {
  const [port = 0] = await freePorts(1);
  await using server = new TestServer();
  await prepare(server.dir, count, port);
  const times: number[] = [];
  let memory = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    const started = server.start();
    await firstHandshake(port, nameOf(Math.floor(Math.random() * count)));
    times.push(performance.now() - began);
    await started;
    // The table is filled in the background: memory is looked at when that has settled.
    await delay(round === ROUNDS - 1 ? 10_000 : 500);
    memory = descendants(server.pid).reduce((sum, pid) => sum + pssOf(pid), 0) / 1024;
    await server.stop();
  }
  const all = times.map((ms) => (ms / 1000).toFixed(2)).join(' ');
  console.log(`| ${count} | ${(median(times) / 1000).toFixed(2)} s (${all}) | ${memory.toFixed(0)} MB |`);
}
