/**
 * `${NAME}` and what fills it: `Define NAME value`, then the environment. `-D NAME` and a `Define` without a
 * value only exist (for `<IfDefine>`). As in httpd, names of values do not differ by case, names that only
 * exist do; and a value is put in before the line is split into words.
 */
export class Variables {
  readonly #names: Set<string>;
  readonly #values = new Map<string, string>();
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(names: Iterable<string>, environment: Readonly<Record<string, string | undefined>>) {
    this.#names = new Set(names);
    this.#environment = environment;
  }

  define(name: string, value?: string): void {
    this.#names.add(name);
    if (value !== undefined) this.#values.set(name.toLowerCase(), value);
  }

  undefine(name: string): void {
    this.#names.delete(name);
    this.#values.delete(name.toLowerCase());
  }

  isDefined(name: string): boolean {
    return this.#names.has(name);
  }

  /** Puts values in. What is not defined stays as written and is reported, unless it has a `:` (`${map:key}`). */
  expand(text: string, undefinedName: (name: string) => void): string {
    if (!text.includes('${')) return text;
    return text.replace(/\$\{([^}]*)\}/g, (written, name: string) => {
      const value = this.#values.get(name.toLowerCase()) ?? this.#environment[name];
      if (value === undefined && !name.includes(':')) undefinedName(name);
      return value ?? written;
    });
  }
}
