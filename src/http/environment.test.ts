import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { load } from '../config/config.testing.ts';
import { serve } from './frontend.testing.ts';

/** Logs what `format` makes of a request. */
async function logged(t: TestContext, text: string, request: string, format: string): Promise<string> {
  const settings = load(t, `DocumentRoot docs\n${text}\nCustomLog log '${format}'\n`, {
    files: { 'docs/x': '' },
  });
  await using served = await serve(settings);
  await served.raw(`GET ${request}\r\nConnection: close\r\n\r\n`);
  return served.line();
}

test('SetEnvIf looks at headers and properties, and puts groups into values', async (t) => {
  const text = `
SetEnvIf Request_URI "^/([a-z]+)/" part=$1 seen
SetEnvIf seen 1 chained
SetEnvIfNoCase X-Any YES any
SetEnvIf ^x-p[a-z]+$ "(.*)" prefixed=<$1>
SetEnvIf Missing ^$ absent=yes
SetEnvIf Remote_Addr "^127\\." local=yes
SetEnvIf Request_Method POST posted
BrowserMatch ^Bad/ gone
BrowserMatch ^Bad/ !seen nothing=`;
  const format =
    '%{part}e %{seen}e %{chained}e %{any}e %{prefixed}e %{absent}e %{local}e %{posted}e %{gone}e %{nothing}e';
  const good = await logged(t, text, '/path/x HTTP/1.1\r\nHost: a\r\nX-Any: yes\r\nX-Pre: v', format);
  assert.equal(good, 'path 1 1 1 <v> yes yes - - -');
  const bad = await logged(t, text, '/path/x HTTP/1.1\r\nHost: a\r\nUser-Agent: Bad/1', format);
  assert.equal(bad, 'path - 1 - <> yes yes - 1 ');
});

test('SetEnv of a section replaces that of the server, UnsetEnv takes it away', async (t) => {
  process.env['LATCHKEY_TEST_PASSED'] = 'passed on';
  t.after(() => delete process.env['LATCHKEY_TEST_PASSED']);
  const text = `
PassEnv LATCHKEY_TEST_PASSED
SetEnv A "1 of server"
SetEnv B server
SetEnv EMPTY
<Location /x>
SetEnv A place
UnsetEnv B
</Location>`;
  const format = '%{A}e|%{B}e|%{EMPTY}e|%{LATCHKEY_TEST_PASSED}e';
  assert.equal(await logged(t, text, '/ HTTP/1.0', format), '1 of server|server||passed on');
  assert.equal(await logged(t, text, '/x HTTP/1.0', format), 'place|-||passed on');
});

test('Require env lets in whom SetEnvIf has marked, of the server or of the place', async (t) => {
  const text = `
SetEnvIf X-Key ^open$ good
<Location /x>
SetEnvIf X-Other . better
Require env good better
</Location>`;
  assert.equal(await logged(t, text, '/x HTTP/1.0', '%s'), '403');
  assert.equal(await logged(t, text, '/x HTTP/1.0\r\nX-Key: open', '%s'), '200');
  assert.equal(await logged(t, text, '/x HTTP/1.0\r\nX-Other: 1', '%s'), '200');
});
