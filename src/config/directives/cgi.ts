/** Scripts (CGI). Which files are scripts is also for Options ExecCGI, SetHandler and AddHandler to say. */
import { Refusal, anywhere, declaring } from '../directive.ts';
import type { Family } from '../directive.ts';
import { pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { duration } from '../values.ts';
import { compile } from './sections.ts';
import { keepSlash } from './mapping.ts';

const directive = declaring<Scope>();

export const cgi: Family<Scope> = {
  module: 'cgi',
  title: 'Scripts (CGI)',
  directives: [
    directive({
      name: 'ScriptAlias',
      syntax: '[URL-path] path',
      contexts: anywhere,
      doc: 'Answers by the scripts of a folder, or by one script; in <Location> its path is the section’s.',
      args: 'TAKE12',
      apply(scope, first, second) {
        const from = second === undefined ? scope.location : first;
        if (from === undefined) throw new Refusal('ScriptAlias must have two arguments when used globally');
        if (scope.inside.directory && second !== undefined) {
          throw new Refusal('ScriptAlias takes one argument, the path, when used in <Location>');
        }
        scope.host.mappings.push({
          kind: 'alias',
          from,
          to: keepSlash(scope, second ?? first),
          script: true,
        });
      },
    }),
    directive({
      name: 'ScriptAliasMatch',
      syntax: 'regex path',
      contexts: ['server config', 'virtual host'],
      doc: 'Answers by scripts for URL paths that match; $1 in the path is what the first brackets matched.',
      args: 'TAKE2',
      apply(scope, pattern, path) {
        const to = pathOf(scope, path);
        scope.host.mappings.push({ kind: 'alias', from: compile(pattern), to, script: true });
      },
    }),
    directive({
      name: 'CGIScriptTimeout',
      aliases: ['CGIDScriptTimeout'],
      syntax: 'time',
      contexts: anywhere,
      default: 'Timeout',
      doc: 'How long a script may say nothing: seconds, or with a unit.',
      args: 'TAKE1',
      apply(scope, text) {
        const time = duration(text, 's');
        if (time === undefined || time <= 0) throw new Refusal(`CGIScriptTimeout: invalid time '${text}'`);
        scope.directory.cgiTimeout = time;
      },
    }),
    directive({
      name: 'CGIPassAuth',
      syntax: 'On|Off',
      contexts: ['directory'],
      default: 'Off',
      doc: 'Scripts get the Authorization field of requests.',
      args: 'FLAG',
      apply(scope, on) {
        scope.directory.cgiPassAuth = on;
      },
    }),
    directive({
      name: 'CGIVar',
      syntax: 'REQUEST_URI original-uri|current-uri',
      contexts: ['directory'],
      default: 'REQUEST_URI original-uri',
      doc: 'Whether REQUEST_URI is as the client sent it, or as internal redirects have made it.',
      args: 'TAKE2',
      apply(scope, variable, rule) {
        if (variable !== 'REQUEST_URI')
          throw new Refusal(`CGIVar rule is not known: ${variable}; use REQUEST_URI`);
        if (rule !== 'original-uri' && rule !== 'current-uri') {
          throw new Refusal(`CGIVar REQUEST_URI: '${rule}' is neither original-uri nor current-uri`);
        }
        scope.directory.cgiRequestUri = rule;
      },
    }),
  ],
};
