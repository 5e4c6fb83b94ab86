/** What is told of managed domains over HTTP. */
import { Refusal, declaring, servers } from '../directive.ts';
import type { Context, Directive, Family } from '../directive.ts';
import type { Scope } from '../scope.ts';
import { onOff } from '../values.ts';

const directive = declaring<Scope>();

/** mod_md takes them inside of `<MDomain>`, too, and one value counts for all. */
const everywhere: readonly Context[] = [...servers, 'managed domain'];

export const mdStatus: Family<Scope> = {
  module: 'md',
  title: 'Status of managed domains',
  directives: [
    directive({
      name: 'MDServerStatus',
      syntax: 'on|off',
      contexts: everywhere,
      default: 'on',
      doc: 'Whether managed domains appear in the answers of the handler server-status.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.server.md.serverStatus = onOff(text);
      },
    }),
    directive({
      name: 'MDCertificateStatus',
      syntax: 'on|off',
      contexts: everywhere,
      default: 'on',
      doc: 'Whether hosts of managed domains tell of their certificates under /.httpd/certificate-status.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.server.md.certificateStatus = onOff(text);
      },
    }),
    certificateCheck('MDCertificateCheck'),
    certificateCheck('MDCertificateMonitor'),
  ],
};

function certificateCheck(name: string): Directive<Scope> {
  return directive({
    name,
    syntax: 'name URL',
    contexts: everywhere,
    default: 'crt.sh https://crt.sh?q=',
    doc: 'Where status pages link to for each certificate: its SHA-256 is appended to the URL.',
    args: 'TAKE2',
    apply(scope, label, url) {
      if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
        throw new Refusal(`'${url}' is no URL to link to: its scheme must be http or https`);
      }
      scope.server.md.certificateCheck = { name: label, url };
    },
  });
}
