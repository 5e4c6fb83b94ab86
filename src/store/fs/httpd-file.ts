import { join } from 'node:path';
import * as v from 'valibot';
import { readBounded, writeInPlace } from './disk.ts';
import type { Tree } from './tree.ts';

/** httpd.json: which protocols the server was last seen to listen for. */
export interface ServedProtocols {
  readonly http: boolean;
  readonly https: boolean;
}

const document = v.object({ proto: v.object({ http: v.boolean(), https: v.boolean() }) });

/** What was found last time, undefined where that isn't known: the file is a memory, never worth an error. */
export async function readHttpdFile({ disk, dir }: Tree): Promise<ServedProtocols | undefined> {
  const text = await readBounded(disk, path(dir), { links: true }).catch(() => undefined);
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), document), text?.toString());
  return result.success ? result.output.proto : undefined;
}

export async function writeHttpdFile(tree: Tree, proto: ServedProtocols): Promise<void> {
  const { http, https } = proto;
  await writeInPlace(tree.disk, {
    target: path(tree.dir),
    temporary: tree.scratch(),
    value: JSON.stringify({ proto: { http, https } }, undefined, 2),
    mode: 0o600,
  });
}

function path(dir: string): string {
  return join(dir, 'httpd.json');
}
