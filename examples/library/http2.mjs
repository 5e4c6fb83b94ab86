// npm install PATH/latchkey-0.1.0.tgz && node http2.mjs
// curl --cacert certificates/local-ca/root.pem https://app.localhost:8443/
import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { Latchkey } from 'latchkey';

const latchkey = await Latchkey.open({
  domains: ['app.localhost'],
  storeDir: 'certificates',
  // To try it. On the internet: names of yours, agreement: 'accepted', and neither of these.
  authority: 'local',
  ports: { http: 8080, https: 8443 },
});

// Servers of one's own: the one at port 80 answers challenges and sends all others to https.
const server = createSecureServer();
server.on('stream', (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'text/plain' });
  stream.end('Hello from node:http2\n');
});
createServer(latchkey.challengeHandler).listen(8080);
latchkey.secure(server, { alpn: ['h2'] }).listen(8443);
await latchkey.ready();
console.log(`There is a certificate for ${latchkey.status()[0].name}`);
