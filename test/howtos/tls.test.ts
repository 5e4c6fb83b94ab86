/** How-tos about TLS with certificates from files: by mod_ssl's directives, by mod_tls's, and by both. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { freePorts, missing, run, selfSigned, TestServer } from '../latchkey.testing.ts';
import { howto } from './howtos.testing.ts';

const skip = missing('openssl', 'curl') ?? false;
const NAME = 'b.example.net';

interface Ports {
  readonly http: number;
  readonly https: number;
  readonly other: number;
}

class Site implements AsyncDisposable {
  readonly server = new TestServer();
  readonly ports: Ports;

  static async create(): Promise<Site> {
    const [http = 0, https = 0, other = 0] = await freePorts(3);
    return new Site({ http, https, other });
  }

  private constructor(ports: Ports) {
    this.ports = ports;
    const { server } = this;
    server.write('htdocs/index.html', 'hello\n');
    const ec = selfSigned(server.dir, NAME);
    const rsa = selfSigned(server.dir, NAME, 'rsa');
    server.write('certs/certificate.pem', readFileSync(ec.cert, 'utf8'));
    server.write('certs/key.pem', readFileSync(ec.key, 'utf8'));
    server.write('certs/both.pem', readFileSync(rsa.cert, 'utf8') + readFileSync(rsa.key, 'utf8'));
  }

  configure(name: string): void {
    const { http, https, other } = this.ports;
    const text = howto(name)
      .replaceAll(/^(Listen|TLSEngine) 80$/gm, `$1 127.0.0.1:${http}`)
      .replaceAll(/^(Listen|TLSEngine) 443$/gm, `$1 127.0.0.1:${https}`)
      .replaceAll(/^(Listen|TLSEngine) 8443$/gm, `$1 127.0.0.1:${other}`)
      .replaceAll('*:8443', `*:${other}`)
      .replaceAll('*:443', `*:${https}`)
      .replaceAll('*:80', `*:${http}`);
    this.server.configure(`Workers 1\n${text}`);
  }

  async get(url: string): Promise<string> {
    const { http, https } = this.ports;
    const to = [`:80:127.0.0.1:${http}`, `:443:127.0.0.1:${https}`].flatMap((one) => ['--connect-to', one]);
    return (await run('curl', ['-sk', ...to, url])).stdout;
  }

  async handshake(port: number, ...options: readonly string[]): Promise<string> {
    const to = ['-connect', `127.0.0.1:${port}`, '-servername', NAME];
    return (await run('openssl', ['s_client', ...to, ...options], { input: '' })).stdout;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}

suite('how-tos', { concurrency: 2, skip }, () => {
  test('one host in the clear and one with TLS, by mod_ssl, then by mod_tls', async () => {
    await using site = await Site.create();
    const looks = async () => {
      assert.equal(await site.get('http://a.example.net/'), 'hello\n');
      assert.equal(await site.get(`https://${NAME}/`), 'hello\n');
      const { https } = site.ports;
      assert.match(await site.handshake(https), new RegExp(`subject=CN ?= ?${NAME}`));
    };
    site.configure('tls-with-mod-ssl');
    await site.server.start();
    await looks();
    site.configure('tls-with-mod-tls');
    assert.equal((await site.server.run('-k', 'graceful')).code, 0);
    await looks();
    // Of a name that no host has, mod_tls hears nothing.
    const unknown = ['-connect', `127.0.0.1:${site.ports.https}`, '-servername', 'c.example.net'];
    assert.notEqual((await run('openssl', ['s_client', ...unknown], { input: '' })).code, 0, 'TLSStrictSNI');
  });

  test('several certificates for one host: the first that suits a client', async () => {
    await using site = await Site.create();
    site.configure('tls-two-certificates');
    await site.server.start();
    const kind = async (...options: readonly string[]) =>
      /Peer signature type: (\w+)/i
        .exec(await site.handshake(site.ports.https, ...options))?.[1]
        ?.toLowerCase();
    assert.equal(await kind(), 'ecdsa');
    assert.match((await kind('-sigalgs', 'rsa_pss_rsae_sha256')) ?? '', /^rsa/);
  });

  test('mod_ssl at one port and mod_tls at another', async () => {
    await using site = await Site.create();
    site.configure('tls-and-ssl-on-two-ports');
    await site.server.start();
    const { https, other } = site.ports;
    const old = ['-tls1_2'];
    assert.match(await site.handshake(https, ...old), /Protocol *: TLSv1\.2/);
    assert.match(await site.handshake(other), /TLSv1\.3/);
    assert.doesNotMatch(await site.handshake(other, ...old), /subject=/, 'TLSProtocol TLSv1.3+');
  });
});
