/**
 * A certificate store asked by HTTP (mod_dynssl's protocol): `GET {URL}/{name}`, `Authorization: Bearer {token}`,
 * 200 with `{"cert","key"}`, 404 for a name it doesn't know, 304 for what we have. Of several URLs the next one
 * is asked when one fails; redirects are not followed.
 */
import type { CertificateSource, Found, SourceStatus } from '../source.ts';
import { Endpoint, type EndpointParts } from './endpoint.ts';

export class HttpStore implements CertificateSource {
  readonly #endpoints: readonly Endpoint[];

  constructor(parts: EndpointParts) {
    this.#endpoints = parts.settings.urls.map((url) => new Endpoint(url, parts));
  }

  async find(name: string, known?: string): Promise<Found> {
    const problems: string[] = [];
    for (const [index, endpoint] of this.#endpoints.entries()) {
      const found = await endpoint.ask(name, etagFor(index, known));
      if (found.kind === 'found') return { ...found, tag: tagAt(index, found.tag) };
      if (found.kind !== 'failed') return found;
      problems.push(found.problem);
    }
    return { kind: 'failed', problem: problems.join('; ') };
  }

  status(): readonly SourceStatus[] {
    return this.#endpoints.map((endpoint) => endpoint.status());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#endpoints.map((endpoint) => endpoint[Symbol.asyncDispose]()));
  }
}

/** An ETag means something to the URL it came from only. */
function tagAt(index: number, etag: string | undefined): string | undefined {
  return etag === undefined ? undefined : `${index} ${etag}`;
}

function etagFor(index: number, tag: string | undefined): string | undefined {
  const prefix = `${index} `;
  return tag?.startsWith(prefix) ? tag.slice(prefix.length) : undefined;
}
