// npm install express PATH/latchkey-0.1.0.tgz && node express.mjs
// curl --cacert certificates/local-ca/root.pem https://app.localhost:8443/
import express from 'express';
import { Latchkey } from 'latchkey';

const app = express();
app.get('/', (_request, response) => void response.send('Hello from Express\n'));

const latchkey = await Latchkey.open({
  domains: ['app.localhost'],
  storeDir: 'certificates',
  // To try it. On the internet: names of yours, agreement: 'accepted', and neither of these.
  authority: 'local',
  ports: { http: 8080, https: 8443 },
});
latchkey.on('certificate:installed', ({ domain }) => console.log(`There is a certificate for ${domain}`));
latchkey.on('renewal:failed', ({ domain, problem }) => console.log(`${domain}: ${problem.detail}`));
await latchkey.listen(app);
