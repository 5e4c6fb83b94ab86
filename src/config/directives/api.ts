/** Speaking to the running server over HTTP. */
import { tokenDigest } from '../../base/bearer.ts';
import { Refusal, declaring, serverOnly } from '../directive.ts';
import type { Family } from '../directive.ts';
import { bearerToken } from '../dynamic.ts';
import type { Scope } from '../scope.ts';
import { addressAndPort, canonicalAddress } from '../values.ts';

const directive = declaring<Scope>();

export const api: Family<Scope> = {
  module: 'md',
  title: 'The running server (Latchkey’s own)',
  directives: [
    directive({
      name: 'RuntimeAPI',
      syntax: 'address:port token',
      contexts: serverOnly,
      doc: 'Takes what `latchkey domains` says over HTTP, too, on this machine and with `Authorization: Bearer token`.',
      args: 'TAKE2',
      apply(scope, where, token) {
        const parsed = addressAndPort(where);
        const address = canonicalAddress(parsed?.address ?? '127.0.0.1');
        if (!parsed || !/^(127\.\d+\.\d+\.\d+|::1)$/.test(address)) {
          throw new Refusal(
            `RuntimeAPI: '${where}' is no address:port of this machine's loopback (127.0.0.1, [::1])`,
          );
        }
        const digest = tokenDigest(bearerToken('RuntimeAPI', token));
        scope.server.api = { address, port: parsed.port, tokenDigest: digest };
      },
    }),
  ],
};
