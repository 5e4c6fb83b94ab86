// npm install fastify PATH/latchkey-0.1.0.tgz && node fastify.mjs
// curl --cacert certificates/local-ca/root.pem https://app.localhost:8443/
import Fastify from 'fastify';
import { Latchkey } from 'latchkey';

const latchkey = await Latchkey.open({
  domains: ['app.localhost'],
  storeDir: 'certificates',
  // To try it. On the internet: names of yours, agreement: 'accepted', and neither of these.
  authority: 'local',
  ports: { http: 8080, https: 8443 },
});

// Fastify makes its server and listens itself, at each address of the host; HTTP/2 and HTTP/1.1 on one port.
const app = Fastify({ http2: true, https: { allowHTTP1: true } });
app.get('/', (request, reply) => reply.send({ hello: 'Fastify', http: request.raw.httpVersion }));
latchkey.secure(app.server);
await app.listen({ port: 8443, host: '::' });
await latchkey.ready();
console.log(`There is a certificate for ${latchkey.status()[0].name}`);
