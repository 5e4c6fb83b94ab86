import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compileFormat, escapeItem } from './formats.ts';
import type { Handler } from './exchange.ts';
import { serve } from './frontend.testing.ts';
import { settingsOf, virtualHost } from './settings.testing.ts';
import { httpTime } from './times.ts';

async function line(
  format: string,
  request = 'GET /é?q HTTP/1.1',
  headers = '',
  status = 200,
): Promise<string> {
  const answer: Handler = async ({ response }) => {
    response.statusCode = status;
    response.setHeader('X-Out', 'out');
    response.end('four');
  };
  const customLogs = [{ file: 'log', format, condition: undefined }];
  const hosts = [virtualHost('a.test', { directory: { handler: 'answer' }, customLogs })];
  await using served = await serve(settingsOf({ hosts }), { handlers: { answer } });
  const text = `${request.replace('é', '%C3%A9')}\r\nHost: A.test:81\r\nConnection: close\r\n${headers}\r\n`;
  await served.raw(text);
  return served.line();
}

test('the common and the combined format', async () => {
  const combined = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"';
  assert.match(
    await line(combined, undefined, 'User-Agent: "me"\r\n'),
    /^127\.0\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET \/%C3%A9\?q HTTP\/1\.1" 200 4 "-" "\\"me\\""$/,
  );
});

test('what is decoded is escaped, what is asked for by name is found', async () => {
  assert.equal(await line('%U %q %m %H %v %V %f %R'), '/\\xc3\\xa9 ?q GET HTTP/1.1 a.test a.test - answer');
  assert.equal(
    await line('%{x-out}o %{NONE}o %{a}C %{b}C %{REQUEST_METHOD}x', undefined, 'Cookie: a=1; b=2=3\r\n'),
    'out - 1 2=3 GET',
  );
  assert.equal(await line('%B %b %X %k %{c}a'), '4 4 - 0 127.0.0.1');
  assert.equal(await line('%B %b', 'HEAD / HTTP/1.1'), '0 -');
  assert.equal(await line('%B %b', undefined, '', 204), '0 -');
  assert.match(await line('%I %O %D %T %{ms}T %P %p %{remote}p'), /^\d+ \d+ \d+ \d+ \d+ \d+ \d+ \d+$/);
});

test('statuses choose what is shown', async () => {
  const format = '%200,404{x-out}o %404{x-out}o %!404{x-out}o %!200,404{x-out}o %<s %>s';
  assert.equal(await line(format), 'out - out - 200 200');
});

test('times: fixed words, strftime, begin and end', () => {
  const at = Date.UTC(2026, 10, 22, 6, 5, 4, 78);
  assert.equal(httpTime('sec', at, 0), String(Math.floor(at / 1000)));
  assert.equal(httpTime('end:msec', 0, at), String(at));
  assert.equal(httpTime('begin:usec_frac', at, 0), '078000');
  const local = new Date(at);
  assert.equal(httpTime('%Y %y %% %Q', at, 0), `${local.getFullYear()} 26 % %Q`);
  assert.match(httpTime('', at, 0), /^\[\d\d\/Nov\/2026:\d\d:\d\d:04 [+-]\d{4}\]$/);
});

test('an escaped item is one line of printable ASCII', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
      assert.match(escapeItem(text), /^[ -~]*$/);
      assert.doesNotMatch(escapeItem(text), /(?<!\\)(?:\\\\)*"/);
    }),
  );
});

test('any format compiles', () => {
  fc.assert(
    fc.property(fc.string(), (format) => {
      assert.equal(typeof compileFormat(format), 'function');
    }),
  );
});
