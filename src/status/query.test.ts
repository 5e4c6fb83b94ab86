import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { QueryError, readStatusQuery, writeStatusQuery } from './query.ts';

suite('a query for the status', () => {
  test('is read as it was written', () => {
    const query = { show: 'failing', search: 'a&b=ü', sort: 'valid', offset: 10, limit: 5 } as const;
    assert.deepEqual(readStatusQuery(writeStatusQuery({ ...query, name: undefined })), query);
    assert.equal(readStatusQuery(writeStatusQuery({})), undefined, 'everything');
  });

  test('of a script that errs is refused with what it may be', () => {
    const refused = (text: string, message: RegExp) =>
      assert.throws(
        () => readStatusQuery(text),
        (error) => error instanceof QueryError && message.test(error.message),
      );
    refused('show=broken', /^show: must be one of all, complete, .*failing/);
    refused('limit=-1', /^limit: must be a number/);
    refused('limit=1e9', /^limit/);
    refused('shw=failing', /shw/);
    refused(`search=${'x'.repeat(300)}`, /^search/);
  });
});
