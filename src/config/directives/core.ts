/** The server itself: names, addresses, processes. */
import { isIP } from 'node:net';
import { Refusal, declaring, serverOnly, servers } from '../directive.ts';
import type { Family } from '../directive.ts';
import { newHost } from '../draft.ts';
import { isFolder } from '../glob.ts';
import { words } from '../lexer.ts';
import { resolveName } from '../resolve.ts';
import { here, pathOf, within } from '../scope.ts';
import type { Scope } from '../scope.ts';
import type { HostAddress } from '../settings.ts';
import { addressAndPort, canonicalAddress, portNumber, wholeNumber } from '../values.ts';

const directive = declaring<Scope>();

const spoken = new Set(['http/1.1', 'h2', 'acme-tls/1']);

export const core: Family<Scope> = {
  module: 'core',
  title: 'Server and virtual hosts',
  directives: [
    directive({
      name: '<VirtualHost',
      syntax: 'address[:port] …',
      contexts: serverOnly,
      doc: 'A host of its own for these addresses; `*` or `_default_` for any.',
      args: 'RAW_ARGS',
      apply(scope, text) {
        const addresses = words(text).flatMap((word) => hostAddresses(scope, word));
        if (text === '') throw new Refusal('<VirtualHost> directive requires additional arguments');
        const host = newHost(here(scope), addresses);
        scope.server.hosts.push(host);
        return within(scope, {
          host,
          directory: host.directory,
          sections: host.sections,
          inside: { virtualHost: 'VirtualHost' },
        });
      },
    }),
    directive({
      name: 'ServerName',
      syntax: '[scheme://]name[:port] | _default_',
      contexts: servers,
      doc: 'The name of the host. `_default_` marks one that stands in for names nobody has.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.host.serverName = serverName(text);
      },
    }),
    directive({
      name: 'ServerAlias',
      syntax: 'name …',
      contexts: ['virtual host'],
      doc: 'Further names of the host; `*` and `?` are wildcards.',
      args: 'ITERATE',
      apply(scope, ...names) {
        for (const name of names) scope.host.aliases.push(name.toLowerCase());
      },
    }),
    directive({
      name: 'ServerAdmin',
      syntax: 'mail-address|URL',
      contexts: servers,
      doc: 'Whom to write to; the contact of managed domains without MDContactEmail.',
      args: 'TAKE1',
      apply(scope, admin) {
        scope.host.serverAdmin = admin;
      },
    }),
    directive({
      name: 'Listen',
      syntax: '[address:]port [http|https]',
      contexts: serverOnly,
      doc: 'An address and port to listen at; port 443 is https unless said otherwise.',
      args: 'TAKE_ARGV',
      apply: listen,
    }),
    directive({
      name: 'Protocols',
      syntax: 'protocol …',
      contexts: servers,
      default: 'http/1.1',
      doc: 'What may be spoken, preferred first: h2, http/1.1; acme-tls/1 allows the tls-alpn-01 challenge.',
      args: 'ITERATE',
      apply(scope, ...names) {
        const wanted = names.map((name) => name.toLowerCase());
        for (const name of wanted.filter((one) => !spoken.has(one))) {
          scope.warn('core', `Protocols: '${name}' is not spoken here; known are ${[...spoken].join(', ')}`);
        }
        const known = wanted.filter((name) => spoken.has(name));
        scope.host.protocols = [...new Set([...(scope.host.protocols ?? []), ...known])];
      },
    }),
    directive({
      name: 'DocumentRoot',
      syntax: 'folder',
      contexts: servers,
      doc: 'Folder that the host serves.',
      args: 'TAKE1',
      apply(scope, folder) {
        const path = pathOf(scope, folder);
        if (!isFolder(path)) {
          if (scope.inside.virtualHost === undefined) {
            throw new Refusal(`DocumentRoot '${path}' is not a directory, or is not readable`);
          }
          scope.warn('core', `AH00112: Warning: DocumentRoot [${path}] does not exist`);
        }
        scope.host.documentRoot = path;
      },
    }),
    directive({
      name: 'User',
      syntax: 'name|#id',
      contexts: serverOnly,
      doc: 'Whom engine and workers run as when the server is started by root.',
      args: 'TAKE1',
      apply(scope, user) {
        scope.server.user = user;
      },
    }),
    directive({
      name: 'Group',
      syntax: 'name|#id',
      contexts: serverOnly,
      doc: 'The group of engine and workers when the server is started by root.',
      args: 'TAKE1',
      apply(scope, group) {
        scope.server.group = group;
      },
    }),
    directive({
      name: 'PidFile',
      syntax: 'file',
      contexts: serverOnly,
      default: 'logs/httpd.pid',
      doc: 'Where the process id of the supervisor is kept.',
      args: 'TAKE1',
      apply(scope, file) {
        scope.server.pidFile = pathOf(scope, file);
      },
    }),
    directive({
      name: 'Workers',
      syntax: 'number',
      contexts: serverOnly,
      default: 'one for each processor',
      doc: 'Worker processes.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.server.workers = wholeNumber('Workers', text, 1, 1024);
      },
    }),
  ],
};

function serverName(text: string): string {
  if (text === '_default_') return text;
  const [, name = '', port] = /^(?:[a-z]+:\/\/)?(\[[^\]]*\]|[^:]*)(?::(.*))?$/i.exec(text) ?? [];
  if (port !== undefined && portNumber(port) === undefined) {
    throw new Refusal(`The port number "${text}" is outside the appropriate range (i.e., 1..65535).`);
  }
  const [, address] = /^\[([^\]]*)\]$/.exec(name) ?? [];
  if (address !== undefined && isIP(address) === 6 && !address.includes('%'))
    return canonicalAddress(address);
  if (!/^[\w.-]+$/.test(name)) {
    throw new Refusal(`Invalid ServerName "${text}" use ServerAlias to set multiple server names.`);
  }
  return name.toLowerCase();
}

function listen(scope: Scope, ...args: string[]): void {
  const [where, protocol, ...more] = args;
  if (!where || more.length > 0) throw new Refusal('Listen requires 1 or 2 arguments.');
  const parsed = addressAndPort(where);
  if (!parsed) {
    const hasPort = /(^|:)\d+$/.test(where);
    throw new Refusal(hasPort ? `Invalid address or port: '${where}'` : `Port must be specified: '${where}'`);
  }
  const address = parsed.address === undefined ? undefined : literal(parsed.address);
  const { listens } = scope.server;
  if (listens.some((other) => other.port === parsed.port && other.address === address)) {
    throw new Refusal(`Cannot define multiple Listeners on the same IP:port (${where})`);
  }
  const spokenThere = protocol?.toLowerCase() ?? (parsed.port === 443 ? 'https' : 'http');
  if (spokenThere !== 'http' && spokenThere !== 'https') {
    throw new Refusal(`Listen: protocol '${protocol}' is not known; use http or https`);
  }
  listens.push({ address, port: parsed.port, protocol: spokenThere, at: here(scope) });
}

function literal(address: string): string {
  if (isIP(address) !== 0) return canonicalAddress(address);
  const [first] = resolveName(address);
  if (first === undefined) {
    throw new Refusal(`Listen setup failed: the name '${address}' has no address; use an IP address`);
  }
  return canonicalAddress(first);
}

function hostAddresses(scope: Scope, word: string): HostAddress[] {
  const [name, portText] = isIP(word) === 6 ? [word, undefined] : splitPort(word);
  const port = portText === undefined || portText === '*' ? '*' : portNumber(portText);
  if (port === undefined) {
    throw new Refusal(`The address or port is invalid: '${word}'; use address:port, *:port or [IPv6]:port`);
  }
  if (name === '*' || name.toLowerCase() === '_default_') return [{ address: '*', port }];
  const address = name.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) !== 0) return [{ address: canonicalAddress(address), port }];
  const found = resolveName(address);
  if (found.length === 0) scope.warn('core', `Could not resolve host name ${address} -- ignoring!`);
  return found.map((one) => ({ address: canonicalAddress(one), port }));
}

function splitPort(word: string): readonly [name: string, port: string | undefined] {
  const match = /^(.*):(\d+|\*)$/.exec(word);
  return match ? [match[1] ?? '', match[2]] : [word, undefined];
}
