/** What a Settings means to requests, prepared once: replaced as a whole by a reload. */
import type { HostSettings, Settings } from '../config/settings.ts';
import { compileFormat } from './formats.ts';
import type { LineWriter } from './formats.ts';
import { runsScripts } from './cgi/place.ts';
import { HostIndex } from './hosts.ts';
import { SmallFiles } from './small-files.ts';
import { SectionTable } from './sections.ts';

export class Site {
  readonly settings: Settings;
  readonly hosts: HostIndex;
  readonly smallFiles = new SmallFiles();
  /** A host has an access log. */
  readonly isLogged: boolean;
  readonly #sections = new WeakMap<HostSettings, SectionTable>();
  readonly #scripted = new WeakMap<HostSettings, boolean>();
  readonly #formats = new Map<string, LineWriter>();

  constructor(settings: Settings) {
    this.settings = settings;
    this.hosts = new HostIndex(settings);
    this.isLogged = [settings.base, ...settings.hosts].some(({ customLogs }) => customLogs.length > 0);
  }

  sectionsOf(host: HostSettings): SectionTable {
    let table = this.#sections.get(host);
    if (!table) this.#sections.set(host, (table = new SectionTable(host)));
    return table;
  }

  runsScripts(host: HostSettings): boolean {
    let runs = this.#scripted.get(host);
    if (runs === undefined) this.#scripted.set(host, (runs = runsScripts(host)));
    return runs;
  }

  lineWriter(format: string): LineWriter {
    let writer = this.#formats.get(format);
    if (!writer) this.#formats.set(format, (writer = compileFormat(format)));
    return writer;
  }
}
