/** The other end of mod_dynssl's protocol: a certificate store for other servers (SetHandler dynssl-store). */
import { tokenDigest } from '../../base/bearer.ts';
import { anywhere, declaring, serverOnly } from '../directive.ts';
import type { Family } from '../directive.ts';
import { bearerToken } from '../dynamic.ts';
import { pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';

const directive = declaring<Scope>();

export const dynsslServe: Family<Scope> = {
  module: 'dynssl',
  title: 'Certificates for other servers (SetHandler dynssl-store, Latchkey’s own)',
  directives: [
    directive({
      name: 'DynSSLServeToken',
      syntax: 'token',
      contexts: anywhere,
      doc: 'Who asks the handler dynssl-store must send `Authorization: Bearer token`.',
      args: 'TAKE1',
      apply(scope, token) {
        scope.directory.serveTokenDigest = tokenDigest(bearerToken('DynSSLServeToken', token));
      },
    }),
    directive({
      name: 'DynSSLServeFolder',
      syntax: 'folder …',
      contexts: serverOnly,
      doc: 'Folders of NAME.crt and NAME.key that dynssl-store gives out beside managed domains; User reads them.',
      args: 'ITERATE',
      apply(scope, ...folders) {
        scope.server.serveFolders.push(...folders.map((folder) => pathOf(scope, folder)));
      },
    }),
  ],
};
