/**
 * Which names have certificates on demand: a small file for each in the store (`limits/on-demand/NAME.json`, which
 * mod_md doesn't look at), there before the first order, so that neither a restart nor a kill forgets one.
 */
import * as v from 'valibot';
import type { Store } from '../../store/store.ts';
import { undamaged } from '../stored/held.ts';

const FOLDER = 'on-demand';
const SUFFIX = '.json';

const time = v.pipe(v.number(), v.finite(), v.minValue(0));
const schema = v.object({
  /** Of the settings that it is by. */
  id: v.string(),
  /** ms since the epoch, to the day: when somebody last called for it. */
  seen: time,
});

export type OnDemandRecord = v.InferOutput<typeof schema>;

/** Names with a record, sorted. */
export async function recordedNames(store: Store): Promise<string[]> {
  const aspects = await store.aspects('limits', FOLDER);
  return aspects.filter((aspect) => aspect.endsWith(SUFFIX)).map((aspect) => aspect.slice(0, -SUFFIX.length));
}

/** What is damaged is as good as none. Rejects as the store does. */
export async function readRecord(store: Store, name: string): Promise<OnDemandRecord | undefined> {
  const text = await undamaged(store.load('limits', FOLDER, name + SUFFIX));
  if (!text) return undefined;
  try {
    return v.parse(schema, JSON.parse(text.toString()));
  } catch {
    return undefined;
  }
}

export async function writeRecord(store: Store, name: string, record: OnDemandRecord): Promise<void> {
  await store.save('limits', FOLDER, name + SUFFIX, `${JSON.stringify(record)}\n`);
}

export async function removeRecord(store: Store, name: string): Promise<void> {
  await store.remove('limits', FOLDER, name + SUFFIX);
}
