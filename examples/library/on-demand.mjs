// npm install PATH/latchkey-0.1.0.tgz && node on-demand.mjs
// curl --cacert certificates/local-ca/root.pem https://alice.localhost:8443/    and mallory.localhost, who gets none
import { Latchkey } from 'latchkey';

const customers = new Set(['alice.localhost', 'bob.localhost']);

const latchkey = await Latchkey.open({
  storeDir: 'certificates',
  onDemand: (name, address) => {
    console.log(`${address ?? 'a renewal'} asks for ${name}`);
    return customers.has(name);
  },
  // To try it. On the internet: agreement: 'accepted', and neither of these.
  authority: 'local',
  ports: { http: 8080, https: 8443 },
});
await latchkey.listen((request, response) => response.end(`Hello from ${request.headers.host}\n`));
