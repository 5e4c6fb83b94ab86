/**
 * Leases as files `locks/NAME.N.lease`, for a filesystem that several machines may share. The file with the highest
 * N counts, and says whether it is held. To take a lease is to create the file with the next number, which only one
 * can do; the number never goes back, so that nobody who comes late can take what has gone on meanwhile.
 *
 * A holder shows that it lives by writing its file anew. No clock is compared with another machine's: whoever waits
 * sees by its own clock whether the file changes. A dead holder on the same machine is seen at once.
 */
import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { type Clock, systemClock } from '../../base/clock.ts';
import { createDurable, writeDurable } from '../../base/durable.ts';
import { systemCode } from '../../base/errors.ts';
import type { Lease, Leases } from '../leases.ts';

/** ms between two signs of life. */
const BEAT = 10_000;

/** Without one for this long (ms) a holder counts as dead. */
const SILENCE = 60_000;

/** ms between two tries of takeWithin(). */
const TRY = 200;

const schema = v.object({
  /** Which processes can be looked for: a boot of a kernel, and a namespace of process numbers. */
  host: v.string(),
  pid: v.number(),
  /** When the process began, as the kernel counts: numbers are used again. */
  started: v.string(),
  beat: v.number(),
  held: v.boolean(),
});
type Sign = v.InferOutput<typeof schema>;
type Self = Pick<Sign, 'host' | 'pid' | 'started'>;

interface Found {
  readonly number: number;
  /** Undefined where it can't be read (yet). */
  readonly sign: Sign | undefined;
}

export class FsLeases implements Leases {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #self: Self;
  /** What others' leases looked like, and since when. */
  readonly #watched = new Map<string, { readonly look: string; readonly since: number }>();
  readonly #seen = new Map<string, number>();

  private constructor(folder: string, clock: Clock, self: Self) {
    this.#folder = folder;
    this.#clock = clock;
    this.#self = self;
  }

  /** `folder` is there, and this process may write in it. */
  static async open(folder: string, clock: Clock = systemClock): Promise<FsLeases> {
    return new FsLeases(folder, clock, await selfOf());
  }

  async take(name: string): Promise<Lease | undefined> {
    const found = await this.#highest(name);
    if (found && !(await this.#isFree(name, found))) return undefined;
    const number = (found?.number ?? 0) + 1;
    if (!(await createDurable(this.#file(name, number), this.#text(0, true), { mode: 0o600 })))
      return undefined;
    const now = await this.#numbers(name);
    // What was free when it was looked at has gone on meanwhile.
    if (now.some((other) => other > number)) {
      await rm(this.#file(name, number), { force: true });
      return undefined;
    }
    const handedOver = this.#seen.get(name) !== found?.number;
    this.#seen.set(name, number);
    this.#watched.delete(name);
    for (const old of now.filter((other) => other < number)) await rm(this.#file(name, old), { force: true });
    return this.#hold(name, number, handedOver);
  }

  async takeWithin(name: string, patience: number): Promise<Lease | undefined> {
    for (let left = patience; ; left -= TRY) {
      const lease = await this.take(name);
      if (lease || left <= 0) return lease;
      await this.#clock.sleep(Math.min(TRY, left));
    }
  }

  async changed(): Promise<string[]> {
    const changed = new Set<string>();
    for (const { name, number } of await this.#all()) {
      if ((this.#seen.get(name) ?? 0) >= number) continue;
      this.#seen.set(name, number);
      changed.add(name);
    }
    return [...changed];
  }

  #hold(name: string, number: number, handedOver: boolean): Lease {
    const ended = new AbortController();
    const lost = new AbortController();
    const beating = this.#beat(name, number, ended.signal).catch((error: unknown) => {
      if (!ended.signal.aborted) lost.abort(error);
    });
    return {
      signal: lost.signal,
      handedOver,
      [Symbol.asyncDispose]: async () => {
        ended.abort();
        await beating;
        if (await this.#isStillOurs(name, number)) await this.#write(name, number, this.#text(0, false));
      },
    };
  }

  async #beat(name: string, number: number, ended: AbortSignal): Promise<void> {
    for (let beat = 1; ; beat += 1) {
      await this.#clock.sleep(BEAT, { signal: ended });
      if (!(await this.#isStillOurs(name, number))) throw new Error(`another server has taken over ${name}`);
      await this.#write(name, number, this.#text(beat, true));
    }
  }

  async #isStillOurs(name: string, number: number): Promise<boolean> {
    return (await this.#numbers(name)).every((other) => other <= number);
  }

  /** Released, or its holder is dead. */
  async #isFree(name: string, { number, sign }: Found): Promise<boolean> {
    if (sign && (!sign.held || isDead(sign, this.#self))) return true;
    const now = this.#clock.now();
    const look = `${number} ${JSON.stringify(sign)}`;
    const watched = this.#watched.get(name);
    if (watched?.look === look) return Math.abs(now - watched.since) >= SILENCE;
    this.#watched.set(name, { look, since: now });
    return false;
  }

  async #highest(name: string): Promise<Found | undefined> {
    const number = Math.max(0, ...(await this.#numbers(name)));
    return number === 0 ? undefined : { number, sign: await this.#read(name, number) };
  }

  async #read(name: string, number: number): Promise<Sign | undefined> {
    try {
      return v.parse(schema, JSON.parse(await readFile(this.#file(name, number), 'utf8')));
    } catch (error) {
      if (error instanceof SyntaxError || v.isValiError(error) || systemCode(error) === 'ENOENT')
        return undefined;
      throw error;
    }
  }

  async #numbers(name: string): Promise<number[]> {
    return (await this.#all()).filter((lease) => lease.name === name).map(({ number }) => number);
  }

  async #all(): Promise<{ readonly name: string; readonly number: number }[]> {
    return (await readdir(this.#folder)).flatMap((file) => {
      const [, name, number] = /^([^.].*)\.(\d{1,15})\.lease$/.exec(file) ?? [];
      return name === undefined ? [] : [{ name, number: Number(number) }];
    });
  }

  #write(name: string, number: number, text: string): Promise<void> {
    return writeDurable(this.#file(name, number), text, { mode: 0o600 });
  }

  #file(name: string, number: number): string {
    return join(this.#folder, `${name}.${number}.lease`);
  }

  #text(beat: number, held: boolean): string {
    return `${JSON.stringify({ ...this.#self, beat, held } satisfies Sign)}\n`;
  }
}

/** The name that no domain has: what a start or reload does with the whole store. */
export const WHOLE_STORE = '%store';

/** Where the leases of a store are. */
export function locksFolder(storeDir: string): string {
  return join(storeDir, 'locks');
}

/** Processes of another machine, boot or namespace can't be looked for: they may live. */
function isDead({ host, pid, started }: Sign, self: Self): boolean {
  if (self.host === '' || host !== self.host) return false;
  if (pid === self.pid && started === self.started) return false;
  return startOf(pid) !== started;
}

async function selfOf(): Promise<Self> {
  const { pid } = process;
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    const host = `${boot.trim()} ${await readlink('/proc/self/ns/pid')}`;
    return { host, pid, started: startOf(pid) ?? '' };
  } catch {
    // Elsewhere than on Linux silence alone tells.
    return { host: '', pid, started: '' };
  }
}

function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
