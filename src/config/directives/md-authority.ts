/** What is asked of a certificate authority besides names and keys, and the way to it. */
import { declaring, type Directive, Refusal } from '../directive.ts';
import { pathOf, type Scope } from '../scope.ts';
import { httpUrl, nonEmptyFile } from '../values.ts';
import { everywhere, flag, valuesOf } from './md-values.ts';

const directive = declaring<Scope>();

export const authorityDirectives: readonly Directive<Scope>[] = [
  flag(
    'MDRenewViaARI',
    'renewViaAri',
    'on',
    'Whether the authority is asked when it would like a certificate renewed (ARI, RFC 9773); its word counts more than MDRenewWindow.',
  ),
  directive({
    name: 'MDProfile',
    syntax: 'name',
    contexts: everywhere,
    doc: 'Which of the authority’s kinds of certificate to order, shortlived for instance.',
    args: 'TAKE1',
    apply(scope, name) {
      if (!/^[\x21-\x7e]{1,128}$/.test(name)) throw new Refusal(`'${name}' is no name of a profile`);
      valuesOf(scope).profile = name;
    },
  }),
  flag(
    'MDProfileMandatory',
    'profileMandatory',
    'off',
    'Whether to do without a certificate where the authority does not offer MDProfile.',
  ),
  flag(
    'MDMustStaple',
    'mustStaple',
    'off',
    'Whether new certificates are to say that they are good only with an OCSP staple.',
  ),
  directive({
    name: 'MDHttpProxy',
    syntax: 'URL|none',
    contexts: everywhere,
    doc: 'The HTTP proxy by which the authority is reached: http://proxy.example.org:3128, with user:password@ where it asks for them.',
    args: 'TAKE1',
    apply(scope, url) {
      valuesOf(scope).proxyUrl = url.toLowerCase() === 'none' ? '' : httpUrl('MDHttpProxy', url);
    },
  }),
  directive({
    name: 'MDHttpProxyCACertificateFile',
    syntax: 'file|none',
    contexts: everywhere,
    default: 'the system’s',
    doc: 'PEM of the trust anchors for talking to a proxy whose URL is https.',
    args: 'TAKE1',
    apply(scope, file) {
      valuesOf(scope).proxyCaCertificateFile =
        file.toLowerCase() === 'none'
          ? ''
          : nonEmptyFile('MDHttpProxyCACertificateFile', pathOf(scope, file));
    },
  }),
];
