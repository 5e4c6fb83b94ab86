/** mod_ssl's directives about handshakes beyond versions and ciphers, and about encrypted keys. */
import { explain } from '../../base/errors.ts';
import { Refusal, declaring, serverOnly, servers } from '../directive.ts';
import { words } from '../lexer.ts';
import { pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';

const directive = declaring<Scope>();

/** Commands of OpenSSL that are another directive's here. */
const elsewhere: Readonly<Record<string, string>> = {
  minprotocol: 'SSLProtocol',
  maxprotocol: 'SSLProtocol',
  protocol: 'SSLProtocol',
  cipherstring: 'SSLCipherSuite',
  ciphersuites: 'SSLCipherSuite TLSv1.3',
  options: 'SSLHonorCipherOrder or SSLSessionTickets',
};

const SNI_POLICIES = ['strict', 'secure', 'authonly', 'insecure'] as const;

export const sslHandshakeDirectives = [
  directive({
    name: 'SSLOpenSSLConfCmd',
    syntax: 'Groups|Curves|SignatureAlgorithms list',
    contexts: servers,
    doc: 'Groups of the key exchange, or signature algorithms, as OpenSSL lists them.',
    args: 'TAKE2',
    apply(scope, command, value) {
      const name = command.toLowerCase();
      if (name === 'groups' || name === 'curves') {
        scope.host.tls.groups = tried(command, value, { ecdhCurve: value });
      } else if (name === 'signaturealgorithms') {
        scope.host.tls.signatureAlgorithms = tried(command, value, { sigalgs: value });
      } else {
        const remedy = elsewhere[name];
        const hint = remedy === undefined ? '' : `: use ${remedy}`;
        scope.warn('ssl', `SSLOpenSSLConfCmd ${command} has no effect${hint}`);
      }
    },
  }),
  directive({
    name: 'SSLVHostSNIPolicy',
    syntax: 'strict|secure|authonly|insecure',
    contexts: serverOnly,
    default: 'secure',
    doc: 'What the host of a request and that of its handshake must have in common; else the answer is 421.',
    args: 'TAKE1',
    apply(scope, text) {
      const policy = SNI_POLICIES.find((one) => one === text.toLowerCase());
      if (!policy)
        throw new Refusal(`Invalid SSLVhostSNIPolicy value '${text}'; use ${SNI_POLICIES.join(', ')}`);
      scope.server.sniPolicy = policy;
    },
  }),
  directive({
    name: 'SSLPassPhraseDialog',
    syntax: 'builtin|exec:command',
    contexts: serverOnly,
    default: 'builtin',
    doc: 'The command that prints the passphrase of an encrypted key; builtin asks nobody, and refuses such keys.',
    args: 'TAKE1',
    apply(scope, text) {
      const [, type, command = ''] = /^(builtin|exec:(.*)|\|.*)$/is.exec(text) ?? [];
      if (type === undefined)
        throw new Refusal(`SSLPassPhraseDialog: unknown type '${text}'; use exec:command`);
      if (type.startsWith('|'))
        throw new Refusal('SSLPassPhraseDialog |command is not supported: use exec:command');
      const [program, ...more] = words(command);
      if (type.toLowerCase() === 'builtin') delete scope.server.passphraseCommand;
      else if (program === undefined) throw new Refusal('SSLPassPhraseDialog: exec: needs a command');
      else scope.server.passphraseCommand = [pathOf(scope, program), ...more];
    },
  }),
];

function tried(command: string, value: string, options: { ecdhCurve: string } | { sigalgs: string }): string {
  try {
    process.getBuiltinModule('node:tls').createSecureContext(options);
  } catch (error) {
    throw new Refusal(`SSLOpenSSLConfCmd ${command}: OpenSSL does not accept '${value}': ${explain(error)}`);
  }
  return value;
}
