import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { createFallbackCertificate } from '../../pki/selfsigned.ts';
import { eventually, gone, pidsOf, scriptSite } from './cgi.testing.ts';
import { Scripts } from './scripts.ts';

async function credential() {
  const made = await createFallbackCertificate({ names: ['a.test'], now: Date.now() });
  return { key: made.keyPem, cert: made.certPem };
}

const plain = 'echo Content-Type: text/plain; echo;';

test('a script answers with its head and body, and knows what it was asked', async (t) => {
  await using site = await scriptSite(t, {
    's.sh': `echo Status: 201 Made; echo X-A: 1; echo Set-Cookie: a=1; echo Set-Cookie: b=2; ${plain}
echo "$REQUEST_METHOD|$SCRIPT_NAME|$PATH_INFO|$PATH_TRANSLATED|$QUERY_STRING|$REQUEST_URI|$PWD"`,
  });
  const { status, head, body } = await site.ask('GET /cgi/s.sh/more/%C3%A9?a=%20b');
  assert.equal(status, 201);
  assert.match(head, /^HTTP\/1.1 201 Made\r\n/);
  assert.match(head, /^x-a: 1$/im);
  assert.match(head, /^set-cookie: a=1\r\nset-cookie: b=2$/im);
  const { root } = site;
  const expected = `GET|/cgi/s.sh|/more/é|${root}/docs/more/é|a=%20b|/cgi/s.sh/more/%C3%A9?a=%20b|${root}/cgi\n`;
  assert.equal(Buffer.from(body, 'latin1').toString(), expected);
});

test('bodies pass both ways while they come, by length and in chunks', async (t) => {
  await using site = await scriptSite(t, {
    'echo.sh': `${plain} echo "$CONTENT_LENGTH $CONTENT_TYPE"; while read line; do echo "got $line"; done`,
  });
  const byLength = await site.ask('POST /cgi/echo.sh', ['Content-Length: 4', 'Content-Type: x/y'], 'a\nb\n');
  assert.equal(byLength.body, '4 x/y\ngot a\ngot b\n');

  const socket = net.connect(site.port, '127.0.0.1');
  t.after(() => socket.destroy());
  let received = '';
  const arrived = (text: string) =>
    new Promise<void>((resolve) => {
      const look = () => received.includes(text) && resolve();
      socket.on('data', look);
      look();
    });
  socket.setEncoding('latin1').on('data', (chunk) => (received += String(chunk)));
  socket.write('POST /cgi/echo.sh HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n');
  await arrived('got first');
  socket.write('7\r\nsecond\n\r\n0\r\n\r\n');
  await arrived('got second');
});

test('of the request’s fields a script gets those that cannot be mistaken for something else', async (t) => {
  const script = { 'env.sh': `${plain} env | grep -E "HTTP_|AUTH" | sort` };
  const config = `<Location /cgi/env.sh/auth>\nCGIPassAuth On\n</Location>`;
  await using site = await scriptSite(t, script, config);
  const fields = [
    'Proxy: evil',
    'X_Odd: 1',
    'X.Odd: 1',
    'X-Good: 1',
    'X-Good: 2',
    'Authorization: Basic eA==',
  ];
  const { body } = await site.ask('GET /cgi/env.sh', fields);
  assert.deepEqual(body.trimEnd().split('\n'), ['HTTP_CONNECTION=close', 'HTTP_HOST=a', 'HTTP_X_GOOD=1, 2']);
  const { body: passed } = await site.ask('GET /cgi/env.sh/auth', fields);
  assert.match(passed, /^HTTP_AUTHORIZATION=Basic eA==$/m);
});

test('a local redirect is answered as a request of its own, by GET and without the body', async (t) => {
  await using site = await scriptSite(t, {
    'to-file.sh': 'echo Location: /index.html; echo; echo ignored',
    'to-script.sh': 'echo "Location: /cgi/show.sh/a%20b?q=1"; echo',
    'loop.sh': 'echo Location: /cgi/loop.sh; echo',
    'away.sh': 'echo Location: http://b.test/x; echo',
    'status.sh': 'echo Status: 307 Elsewhere; echo Location: /x; echo',
    'show.sh': `${plain} echo "$REQUEST_METHOD $PATH_INFO $QUERY_STRING $REDIRECT_URL $REDIRECT_STATUS [$(cat)]"`,
  });
  assert.equal((await site.ask('GET /cgi/to-file.sh?x')).body, 'the index\n');
  const posted = await site.ask('POST /cgi/to-script.sh', ['Content-Length: 2'], 'ab');
  assert.equal(posted.body, 'GET /a b q=1 /cgi/to-script.sh 200 []\n');
  assert.equal((await site.ask('GET /cgi/loop.sh')).status, 500);
  const away = await site.ask('GET /cgi/away.sh');
  assert.match(away.head, /^HTTP\/1.1 302 [^]*^location: http:\/\/b.test\/x$/im);
  const own = await site.ask('GET /cgi/status.sh');
  assert.match(own.head, /^HTTP\/1.1 307 Elsewhere[^]*^location: \/x$/im);
});

test('what is no script that can be run is refused, each with its reason in the log', async (t) => {
  const scripts = {
    'nph-x.sh': plain,
    'no-interpreter.sh': '#!/nowhere/at/all',
    '.htsecret': plain,
  };
  await using site = await scriptSite(t, scripts, '<Directory cgi>\nDirectoryIndex disabled\n</Directory>');
  const refused: readonly (readonly [path: string, status: number, reason: RegExp])[] = [
    ['missing.sh', 404, /File does not exist: .*missing\.sh/],
    ['README', 500, /exec of '.*README' failed: .*EACCES/],
    ['', 403, /attempt to invoke directory as script/],
    ['nph-x.sh', 500, /nph-/],
    ['no-interpreter.sh', 500, /exec of '.*no-interpreter.sh' failed: .*ENOENT/],
    ['.htsecret', 403, /client denied/],
  ];
  for (const [path, status, reason] of refused) {
    assert.equal((await site.ask(`GET /cgi/${path}`)).status, status, path);
    assert.match(site.errors.at(-1) ?? '', reason);
  }
});

test('ExecCGI decides beside ScriptAlias; SetHandler and AddHandler say what a script is', async (t) => {
  const config = `
Alias /files/ cgi/
AddHandler cgi-script .sh
<Location /files/on>
Options +ExecCGI
</Location>
<Files set>
SetHandler cgi-script
Options +ExecCGI
</Files>
<Files on.sh>
Options +ExecCGI
</Files>
<Files removed.sh>
RemoveHandler .sh
</Files>`;
  const scripts = {
    'on.sh': `${plain} echo $PATH_INFO`,
    'off.sh': plain,
    set: `${plain} echo set`,
    'removed.sh': 'x',
  };
  await using site = await scriptSite(t, scripts, config);
  assert.equal((await site.ask('GET /files/on.sh/info')).body, '/info\n');
  assert.equal((await site.ask('GET /files/off.sh')).status, 403);
  assert.match(site.errors.at(-1) ?? '', /AH02809: Options ExecCGI is off/);
  assert.equal((await site.ask('GET /files/set')).body, 'set\n');
  assert.equal((await site.ask('GET /files/removed.sh')).body, '#!/bin/sh\nx\n');
  assert.equal((await site.ask('GET /files/README/x')).status, 404);
});

test('output that is no answer is 500', async (t) => {
  const scripts = {
    silent: ':',
    garbage: 'echo "no header at all"; echo',
    cut: 'printf "Content-Type: text/plain\\n"',
    control: 'printf "X: a\\033b\\n\\n"',
    status: 'echo Status: 99 Odd; echo',
    length: 'echo Content-Length: -1; echo',
    large: 'yes "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"',
    endless: 'yes | tr -d "\\n"',
  };
  await using site = await scriptSite(t, scripts);
  for (const name of Object.keys(scripts)) {
    assert.equal((await site.ask(`GET /cgi/${name}`)).status, 500, name);
    assert.match(site.errors.at(-1) ?? '', /script|Content-Length/, name);
  }
});

test('a script’s Content-Length holds: more is cut off, less breaks the connection', async (t) => {
  await using site = await scriptSite(t, {
    more: `echo Content-Length: 3; ${plain} echo 1234567; echo`,
    less: `echo Content-Length: 30; ${plain} echo 1234567`,
  });
  const more = await site.ask('GET /cgi/more');
  assert.match(more.head, /^content-length: 3$/im);
  assert.equal(more.body, '123');
  const less = await site.ask('GET /cgi/less');
  assert.equal(less.body, '1234567\n');
  assert.match(site.errors.at(-1) ?? '', /before its Content-Length/);
});

test('HEAD gets the head alone, and a script that goes on is ended', async (t) => {
  await using site = await scriptSite(t, { s: `echo $$ > pids; echo X-A: 1; ${plain} exec yes` });
  const { status, head, body } = await site.ask('HEAD /cgi/s');
  assert.deepEqual([status, body], [200, '']);
  assert.match(head, /^x-a: 1$/im);
  for (const pid of await pidsOf(site.root)) await gone(pid);
});

/** A script that leaves another process in its group, and says both numbers. */
const family = 'sleep 1000 & echo "$$ $!" > pids; ';

test('a script that says nothing is ended after CGIScriptTimeout, with all it started', async (t) => {
  const clock = new TestClock();
  const config = 'CGIScriptTimeout 7';
  await using site = await scriptSite(
    t,
    { quiet: `${family} wait`, late: `${plain} ${family} wait` },
    config,
    { clock },
  );
  for (const [name, status] of [
    ['quiet', 504],
    ['late', 200],
  ] as const) {
    const asked = site.ask(`GET /cgi/${name}`);
    let isAnswered = false;
    void asked.finally(() => (isAnswered = true));
    const pids = await pidsOf(site.root);
    await eventually('an answer', async () => {
      await clock.advance(1000);
      return isAnswered;
    });
    assert.equal((await asked).status, status);
    assert.match(site.errors.at(-1) ?? '', /AH01220: Timeout waiting for output/);
    for (const pid of pids) await gone(pid);
    writeFileSync(join(site.root, 'cgi/pids'), '');
  }
});

test('a script that has made itself another user’s can’t be ended, and costs no other request', async (t) => {
  const script = `${plain} echo $$ > pids; exec sleep 60`;
  await using site = await scriptSite(t, { 'other.sh': script, 's.sh': `${plain} echo well` });
  const socket = net.connect(site.port, '127.0.0.1');
  socket.write('GET /cgi/other.sh HTTP/1.1\r\nHost: a\r\n\r\n');
  const [pid = 0] = await pidsOf(site.root);
  const refused = t.mock.method(process, 'kill', () => {
    throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
  });
  socket.destroy();
  await eventually('an attempt to end it', () => refused.mock.callCount() > 0);
  assert.equal((await site.ask('GET /cgi/s.sh')).body, 'well\n');
  refused.mock.restore();
  process.kill(-pid, 'SIGKILL');
  await gone(pid);
});

test('when its client goes away a script ends, with all it started', async (t) => {
  await using site = await scriptSite(t, { s: `${plain} echo begun; ${family} wait` });
  const socket = net.connect(site.port, '127.0.0.1', () =>
    socket.write('GET /cgi/s HTTP/1.1\r\nHost: a\r\n\r\n'),
  );
  const pids = await pidsOf(site.root);
  socket.destroy();
  for (const pid of pids) await gone(pid);
});

test('endless output waits for a reader, and is not kept', async (t) => {
  await using site = await scriptSite(t, {
    s: `${plain} i=0; while :; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > count; done`,
  });
  const socket = net.connect(site.port, '127.0.0.1', () =>
    socket.write('GET /cgi/s HTTP/1.1\r\nHost: a\r\n\r\n'),
  );
  t.after(() => socket.destroy());
  const file = join(site.root, 'cgi/count');
  const count = () => (existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0);
  let before = -1;
  await eventually('the script to stand still', () => {
    const now = count();
    const isStill = now > 0 && now === before;
    before = now;
    return isStill;
  });
  assert.ok(count() < 1000, `${count()} blocks of 64 KiB for nobody`);
});

test('what a script says by stderr is in the error log, up to a bound', async (t) => {
  await using site = await scriptSite(t, {
    s: `echo "first line" >&2; printf "no end" >&2; ${plain} echo ok`,
    much: `yes 0123456789 | head -c 1000000 >&2; ${plain} echo ok`,
  });
  assert.equal((await site.ask('GET /cgi/s')).body, 'ok\n');
  await eventually('both lines', () => site.errors.length === 2);
  assert.match(
    site.errors[0] ?? '',
    /\[cgi:error\] .*\[client 127.0.0.1:\d+\] AH01215: first line: .*\/cgi\/s$/,
  );
  assert.match(site.errors[1] ?? '', /AH01215: no end: /);
  assert.equal((await site.ask('GET /cgi/much')).body, 'ok\n');
  assert.ok(site.errors.length < 20_000);
  assert.match(site.errors.at(-1) ?? '', /what more it says by stderr is not logged/);
});

test('no more than so many scripts run at a time', async (t) => {
  using scripts = new Scripts(1);
  await using site = await scriptSite(t, { s: `${plain} echo $$ > pids; exec sleep 1000` }, '', { scripts });
  const first = net.connect(site.port, '127.0.0.1', () =>
    first.write('GET /cgi/s HTTP/1.1\r\nHost: a\r\n\r\n'),
  );
  const [pid = 0] = await pidsOf(site.root);
  assert.equal((await site.ask('GET /cgi/s')).status, 503);
  scripts[Symbol.dispose]();
  await gone(pid);
  first.destroy();
});

test('over HTTP/2 bodies pass both ways, and a cut answer is a reset stream', async (t) => {
  const scripts = {
    echo: `${plain} echo "$SERVER_PROTOCOL $HTTP_HOST $HTTPS"; cat`,
    less: `echo Content-Length: 30; ${plain} echo 1234567`,
  };
  await using site = await scriptSite(t, scripts, '', {}, await credential());
  const session = connect(`https://127.0.0.1:${site.port}`, { rejectUnauthorized: false });
  t.after(() => session.destroy());
  const ask = (path: string, body?: string) =>
    new Promise<string>((resolve, reject) => {
      const stream = session.request({
        ':path': path,
        ':method': body === undefined ? 'GET' : 'POST',
        ':authority': 'a.test',
      });
      let received = '';
      stream.setEncoding('utf8').on('data', (chunk) => (received += String(chunk)));
      stream.on('end', () => resolve(received)).on('error', reject);
      stream.end(body);
    });
  assert.equal(await ask('/cgi/echo', 'a body'), 'HTTP/2.0 a.test on\na body');
  await assert.rejects(ask('/cgi/less'), { code: 'ERR_HTTP2_STREAM_ERROR' });
});
