/** The servers of peers.ts, and Caddy, as reverse proxies in front of one backend on plain HTTP/1.1. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { missing } from '../test/latchkey.testing.ts';
import { apache, firstLine, latchkey, nginx, type Peer, type Place } from './peers.ts';

/** Serves `place.dir/htdocs` on 127.0.0.1:port without TLS: what all of them proxy to. */
export function backendConfig({ dir, port }: Pick<Place, 'dir' | 'port'>): string {
  return `daemon off; worker_processes 1; pid ${dir}/backend.pid; error_log ${dir}/backend.log; user root;
events { worker_connections 4096; }
http {
  access_log off; default_type application/octet-stream; keepalive_requests 1000000; keepalive_timeout 600;
  server { listen 127.0.0.1:${port}; root ${dir}/htdocs; }
}
`;
}

/** nginx keeps connections to the backend, as the others do by themselves. */
function nginxProxy(backend: number): Peer {
  return {
    ...nginx,
    prepare({ dir, port, cert, key }) {
      const file = join(dir, 'nginx.conf');
      writeFileSync(
        file,
        `daemon off; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/nginx.log; user root;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000;
  upstream backend { server 127.0.0.1:${backend}; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port} ssl http2; server_name localhost;
    ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`,
      );
      return ['nginx', '-c', file, '-p', dir];
    },
  };
}

function apacheProxy(backend: number): Peer {
  return {
    ...apache,
    prepare(place) {
      const [command, ...args] = apache.prepare(place);
      const lines = ['proxy', 'proxy_http'].map(
        (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
      );
      const proxying = `${lines.join('\n')}\nMaxKeepAliveRequests 0\nProxyPass / http://127.0.0.1:${backend}/\n`;
      writeFileSync(join(place.dir, 'apache.conf'), proxying, { flag: 'a' });
      return [command, ...args];
    },
  };
}

function latchkeyProxy(backend: number): Peer {
  return {
    ...latchkey,
    prepare(place) {
      const command = latchkey.prepare(place);
      const proxying = `MaxKeepAliveRequests 0\nProxyPass / http://127.0.0.1:${backend}/\n`;
      writeFileSync(join(place.dir, 'latchkey.conf'), proxying, { flag: 'a' });
      return command;
    },
  };
}

function caddyProxy(backend: number): Peer {
  return {
    name: 'Caddy',
    version: firstLine('caddy', ['version']),
    missing: missing('caddy'),
    prepare({ dir, port, cert, key }) {
      const file = join(dir, 'Caddyfile');
      writeFileSync(
        file,
        `{
  admin off
  auto_https disable_redirects
  default_sni localhost
  storage file_system ${dir}/caddy
}
https://:${port} {
  bind 127.0.0.1
  tls ${cert} ${key}
  reverse_proxy 127.0.0.1:${backend}
}
`,
      );
      return ['env', 'GOMAXPROCS=1', `HOME=${dir}`, 'caddy', 'run', '--config', file];
    },
  };
}

/** `backend`: the port of what backendConfig() describes. */
export function proxies(backend: number): Peer[] {
  const all = [nginxProxy(backend), apacheProxy(backend), caddyProxy(backend), latchkeyProxy(backend)];
  return all.filter((peer) => !peer.missing);
}
