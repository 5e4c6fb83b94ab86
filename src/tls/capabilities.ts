/** What OpenSSL speaks under a policy, learned from a ClientHello that it makes: lists of ciphers have no other reading. */
import { Duplex } from 'node:stream';
import { connect, createSecureContext } from 'node:tls';
import { ClientHelloReader } from './clienthello.ts';
import type { ClientHello } from './clienthello.ts';
import { contextOptions } from './policy.ts';
import type { TlsPolicy } from './policy.ts';

/** Code points. */
export interface Capabilities {
  readonly cipherSuites: ReadonlySet<number>;
  readonly groups: ReadonlySet<number>;
  readonly signatureAlgorithms: ReadonlySet<number>;
}

const known = new WeakMap<TlsPolicy, Capabilities>();

/** Takes some milliseconds at the first time for a policy. Empty should OpenSSL ever say nothing at once. */
export function capabilitiesOf(policy: TlsPolicy): Capabilities {
  let found = known.get(policy);
  if (!found) known.set(policy, (found = learn(policy)));
  return found;
}

function learn(policy: TlsPolicy): Capabilities {
  const reader = new ClientHelloReader();
  let hello: ClientHello | undefined;
  const nobody = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const peek = reader.push(chunk);
      if (peek.kind === 'hello') hello = peek.hello;
      done();
    },
  });
  const client = connect({ socket: nobody, secureContext: createSecureContext(contextOptions(policy)) });
  client.on('error', () => {});
  client.destroy();
  return {
    cipherSuites: new Set(hello?.cipherSuites),
    groups: new Set(hello?.groups),
    signatureAlgorithms: new Set(hello?.signatureAlgorithms),
  };
}
