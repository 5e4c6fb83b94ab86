/** SetHandler dynssl-store: certificates with their keys for other servers, by the store protocol. */
import { isLoopbackAddress } from '../../base/addresses.ts';
import { explain } from '../../base/errors.ts';
import type { Exchange, Handler } from '../../http/exchange.ts';
import { answerStore, type StoreQuestion, type StoreReply } from '../../store-server/protocol.ts';
import type { RelayCalls } from '../calls.ts';
import type { Peer } from '../peer.ts';

type Supervisor = Pick<Peer<Pick<RelayCalls, 'findPair'>>, 'call'>;

export function storeHandlers(supervisor: Supervisor): Readonly<Record<string, Handler>> {
  return {
    'dynssl-store': async (exchange) => {
      const { secure, remoteAddress } = exchange.connection;
      if (!secure && !isLoopbackAddress(remoteAddress)) {
        return exchange.fail(403, 'dynssl-store: private keys leave this machine over https only');
      }
      if (lacksCertificate(exchange)) {
        return exchange.fail(
          403,
          'dynssl-store: the client has shown no certificate (SSLVerifyClient require)',
        );
      }
      let reply: StoreReply;
      try {
        reply = await answerStore(questionOf(exchange), exchange.directory.serveTokenDigest, (name) =>
          supervisor.call('findPair', name),
        );
      } catch (error) {
        return exchange.fail(503, `dynssl-store: ${explain(error)}`);
      }
      send(exchange, reply);
    },
  };
}

/** Where client certificates are what keeps others out: they are not asked for over http, nor by another host's handshake. */
function lacksCertificate({ directory, host, connection }: Exchange): boolean {
  const isAllThereIs = directory.serveTokenDigest === undefined && host.tls.clientAuth === 'require';
  return isAllThereIs && connection.tls?.client === undefined;
}

function questionOf({ method, path, request, authority, connection }: Exchange): StoreQuestion {
  const { authorization, 'if-none-match': ifNoneMatch } = request.headers;
  return { method, path, authorization, ifNoneMatch, plainHost: connection.secure ? undefined : authority };
}

function send({ response, method }: Exchange, { status, headers, body }: StoreReply): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.statusCode = status;
  response.end(method === 'HEAD' ? '' : body);
}
