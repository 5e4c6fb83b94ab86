/** nginx as a backend: files, uploads, what it was asked, and redirects. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { eventually } from '../latchkey.testing.ts';

/** Serves DIR/files at `port`; PUT writes there. `/asked` answers with the head that it got, `/moved` redirects. */
export async function startNginx(dir: string, port: number): Promise<AsyncDisposable> {
  mkdirSync(join(dir, 'files'), { recursive: true });
  mkdirSync(join(dir, 'logs'), { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${join(dir, 'tmp')};`,
  );
  const file = join(dir, 'nginx.conf');
  writeFileSync(
    file,
    `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${join(dir, 'nginx.pid')};
error_log ${join(dir, 'logs/nginx.log')};
events {}
http {
  access_log off;
  client_max_body_size 64m;
  ${temporary.join('\n')}
  types { text/html html; }
  server {
    listen 127.0.0.1:${port};
    root ${join(dir, 'files')};
    dav_methods PUT;
    location /asked {
      return 200 "$request_method $request_uri|$http_host|$http_x_forwarded_for|$http_x_forwarded_host|$http_x_secret";
    }
    location /moved { return 302 http://127.0.0.1:${port}/there?x=y; }
  }
}`,
  );
  // Debian has it where only root's PATH looks.
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };
  const child = spawn('nginx', ['-p', dir, '-c', file], { stdio: 'ignore', env });
  const exited = new Promise<void>((resolve) => {
    child.once('error', () => resolve()).once('exit', () => resolve());
  });
  const orphan = () => child.kill('SIGTERM');
  process.once('exit', orphan);
  await eventually('nginx', () => accepts(port));
  return {
    [Symbol.asyncDispose]: async () => {
      process.off('exit', orphan);
      child.kill('SIGTERM');
      await exited;
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
