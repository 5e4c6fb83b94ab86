import { isAny } from './host-tls.ts';
import type { HostAddress, Settings, VirtualHostSettings } from './settings.ts';

/** What `-S` prints, as httpd does: the hosts of each address, addresses with an IP first. */
export function describeHosts(settings: Settings): string {
  const places = new Map<string, { readonly at: HostAddress; readonly hosts: VirtualHostSettings[] }>();
  for (const host of settings.hosts) {
    for (const at of host.addresses) {
      const known = places.get(shown(at));
      if (!known) places.set(shown(at), { at, hosts: [host] });
      else if (!known.hosts.includes(host)) known.hosts.push(host);
    }
  }
  const all = [...places.values()];
  const ordered = [...all.filter((one) => !isWildcard(one.at)), ...all.filter((one) => isWildcard(one.at))];
  const lines = [
    'VirtualHost configuration:',
    ...ordered.flatMap(({ at, hosts }) => describePlace(at, hosts)),
    `ServerRoot: "${settings.serverRoot}"`,
    `Main DocumentRoot: "${settings.base.documentRoot ?? ''}"`,
    `Main ErrorLog: "${settings.base.errorLog ?? ''}"`,
    `PidFile: "${settings.pidFile}"`,
    ...(settings.user === undefined ? [] : [`User: name="${settings.user}"`]),
    ...(settings.group === undefined ? [] : [`Group: name="${settings.group}"`]),
  ];
  return `${lines.join('\n')}\n`;
}

const isWildcard = (at: HostAddress): boolean => at.address === '*' || isAny(at.address);

const isPattern = (name: string): boolean => /[*?]/.test(name);

function shown({ address, port }: HostAddress): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function describePlace(at: HostAddress, hosts: readonly VirtualHostSettings[]): string[] {
  const [first] = hosts;
  if (!first) return [];
  const where = shown(at).padEnd(22);
  if (hosts.length === 1) return [`${where} ${nameAndPlace(first)}`];
  return [
    `${where} is a NameVirtualHost`,
    `${' '.repeat(8)} default server ${nameAndPlace(first)}`,
    ...hosts.flatMap((host) => [
      `${' '.repeat(8)} port ${at.port} namevhost ${nameAndPlace(host)}`,
      ...host.aliases.filter((name) => !isPattern(name)).map((name) => `${' '.repeat(16)} alias ${name}`),
      ...host.aliases.filter(isPattern).map((name) => `${' '.repeat(16)} wild alias ${name}`),
    ]),
  ];
}

function nameAndPlace(host: VirtualHostSettings): string {
  return `${host.serverName ?? '_default_'} (${host.at.file}:${host.at.line})`;
}
