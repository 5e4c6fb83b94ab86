/** A program that knows nothing of TLS: what `api.latchkey.localhost` is a reverse proxy for. */
import { createServer, type Server } from 'node:http';

export function startBackend(port: number): Promise<Server> {
  const server = createServer((request, response) => {
    const seen = {
      message: 'Hello from behind the proxy.',
      you: request.headers['x-forwarded-for'],
      asked: { method: request.method, path: request.url, host: request.headers['x-forwarded-host'] },
    };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify(seen, undefined, 2)}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
