// npm install PATH/latchkey-0.1.0.tgz
// npx latchkey ca run --dir ca --http-port 8080 --tls-port 8443 &
// node cluster.mjs
// curl --cacert ca/root.pem https://app.localhost:8443/
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { Latchkey } from 'latchkey';

if (cluster.isPrimary) {
  for (let count = 0; count < 4; count += 1) cluster.fork();
} else {
  // One of the four obtains the certificate, and all serve it.
  const latchkey = await Latchkey.open({
    domains: ['app.localhost'],
    agreement: 'accepted',
    storeDir: 'certificates',
    // To try it, the built-in CA, which has to run by itself here. On the internet leave out these three lines.
    authority: 'https://127.0.0.1:14000/directory',
    authorityCa: readFileSync('ca/root.pem', 'utf8'),
    ports: { http: 8080, https: 8443 },
  });
  latchkey.on('renewal:started', ({ domain }) => console.log(`${process.pid} orders for ${domain}`));
  latchkey.on('certificate:installed', ({ domain }) => console.log(`${process.pid} serves ${domain}`));
  await latchkey.listen((_request, response) => response.end(`Hello from ${process.pid}\n`));
}
