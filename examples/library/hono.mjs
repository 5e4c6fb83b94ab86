// npm install hono @hono/node-server PATH/latchkey-0.1.0.tgz && node hono.mjs
// curl --cacert certificates/local-ca/root.pem https://app.localhost:8443/
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { Latchkey } from 'latchkey';

const app = new Hono().get('/', (context) => context.text('Hello from Hono\n'));

const latchkey = await Latchkey.open({
  domains: ['app.localhost'],
  storeDir: 'certificates',
  // To try it. On the internet: names of yours, agreement: 'accepted', and neither of these.
  authority: 'local',
  ports: { http: 8080, https: 8443 },
});
await latchkey.listen(getRequestListener(app.fetch), { http2: true });
await latchkey.ready();
console.log(`There is a certificate for ${latchkey.status()[0].name}`);
