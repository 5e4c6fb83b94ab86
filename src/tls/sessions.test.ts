/** Sessions that are resumed, while the keys of their tickets change. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { createAuthority } from '../certificates/credentials.testing.ts';
import { SecureContexts } from './contexts.ts';
import { createPolicy } from './policy.ts';
import type { SessionRules } from './policy.ts';
import { ask, startServer } from './serve.testing.ts';

const versions = ['TLSv1.2', 'TLSv1.3'] as const;
const rules: SessionRules = { tickets: true, timeout: 300, ticketKey: undefined };

suite('A session', async () => {
  const authority = await createAuthority();
  const certificate = await authority.issue(['a.example.org']);
  const client = { servername: 'a.example.org', ca: authority.rootPem };

  /** As one worker has it. */
  async function worker(keys: readonly Uint8Array[], sessions: SessionRules = rules) {
    const contexts = new SecureContexts({ ticketKeys: keys });
    const policy = createPolicy({ sessions });
    const serving = contexts.serving({ certificates: [certificate], fallback: false }, policy, 'a');
    const server = await startServer({
      select: (hello) => ({ kind: 'serve', ...serving.forClient(hello, false), policy, alpn: [], tag: 'a' }),
    });
    return { contexts, server };
  }

  for (const maxVersion of versions) {
    const options = { ...client, maxVersion };

    test(`is resumed after its key has been replaced, and by a new ticket (${maxVersion})`, async () => {
      const [first, second, third] = [randomBytes(48), randomBytes(48), randomBytes(48)];
      const { contexts, server } = await worker([first, second]);
      await using _ = server;
      const begun = await ask(server, options);
      contexts.changeTicketKeys([second, third, first]);
      const resumed = await ask(server, { ...options, session: begun.session });
      assert.equal(resumed.reused, true);
      assert.notDeepEqual(resumed.session, begun.session);
      // The ticket that came with it is of the new key: the old one may go.
      contexts.changeTicketKeys([third, second]);
      assert.equal((await ask(server, { ...options, session: resumed.session })).reused, true);
      assert.equal((await ask(server, { ...options, session: begun.session })).reused, false);
      // And who begins anew is given a ticket of the key of the day.
      const anew = await ask(server, options);
      contexts.changeTicketKeys([third]);
      assert.equal((await ask(server, { ...options, session: anew.session })).reused, true);
    });

    test(`is resumed by a worker that has not been told of the change yet (${maxVersion})`, async () => {
      const [first, second] = [randomBytes(48), randomBytes(48)];
      const early = await worker([second, randomBytes(48), first]);
      const late = await worker([first, second]);
      await using _one = early.server;
      await using _two = late.server;
      const { session } = await ask(early.server, options);
      const resumed = await ask(late.server, { ...options, session });
      assert.equal(resumed.reused, true);
      assert.equal((await ask(early.server, { ...options, session: resumed.session })).reused, true);
    });

    test(`is not resumed by a ticket that has been changed (${maxVersion})`, async () => {
      const { server } = await worker([randomBytes(48)]);
      await using _ = server;
      const other = await worker([randomBytes(48)]);
      await using _other = other.server;
      const { session } = await ask(other.server, options);
      const { reused, received } = await ask(server, { ...options, session });
      assert.equal(reused, false);
      assert.match(received, /^HTTP\/1\.1 200 /);
    });

    test(`is resumed by whoever has the key of a file, whatever other keys there are (${maxVersion})`, async () => {
      const ofFile = { ...rules, ticketKey: randomBytes(48).toString('base64') };
      const one = await worker([randomBytes(48)], ofFile);
      const another = await worker([randomBytes(48)], ofFile);
      await using _one = one.server;
      await using _another = another.server;
      const { session } = await ask(one.server, options);
      assert.equal((await ask(another.server, { ...options, session })).reused, true);
    });

    test(`is never resumed where that is turned off (${maxVersion})`, async () => {
      const { server } = await worker([randomBytes(48)], { ...rules, tickets: false });
      await using _ = server;
      const { session, received } = await ask(server, options);
      assert.match(received, /^HTTP\/1\.1 200 /);
      assert.equal((await ask(server, { ...options, session })).reused, false);
    });
  }
});
