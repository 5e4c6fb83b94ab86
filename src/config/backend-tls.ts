/** What a configuration says of TLS towards backends, all places taken together. */
import type { BackendTls, BackendTlsValues, Section, Settings } from './settings.ts';

/** Paths that `values` names. */
export function backendFilesOf(values: BackendTlsValues): string[] {
  const { caFile, caPath, crlFile, crlPath, machine = [], machineChain } = values;
  const pairs = machine.flatMap(({ certificateFile, keyFile }) => [certificateFile, keyFile]);
  return [caFile, caPath, crlFile, crlPath, machineChain, ...pairs].filter((path) => path !== undefined);
}

/** Of servers and of `<Proxy>`, before they are laid over each other. */
export function backendValues({ base, hosts }: Settings): BackendTlsValues[] {
  const all: BackendTls[] = [];
  const take = (section: Section): void => {
    if (section.settings.backendTls) all.push(section.settings.backendTls);
    section.sections.forEach(take);
  };
  for (const { directory, sections } of [base, ...hosts]) {
    if (directory.backendTls) all.push(directory.backendTls);
    sections.forEach(take);
  }
  return [...new Set(all)].flatMap(({ ssl, tls }) => [ssl, tls].filter((values) => values !== undefined));
}
