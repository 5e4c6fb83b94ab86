import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { folder, load, refusal } from './config.testing.ts';
import { ConfigError } from './errors.ts';
import { loadConfiguration } from './load.ts';

const source = { defines: [], before: [], after: [], environment: {} };

test('Include takes files, patterns in every part of a path, and whole folders, in order of names', (t) => {
  const files = {
    'one.conf': 'ServerAdmin one',
    'sites/b/site.conf': 'Listen 8002',
    'sites/a/site.conf': 'Listen 8001',
    'sites/.hidden/site.conf': 'Nonsense',
    'all/z/last': 'Listen 8004',
    'all/a': 'Listen 8003',
  };
  const text = 'Include one.conf\nInclude sites/*/s?te.conf\nInclude all\nIncludeOptional none/*.conf';
  const settings = load(t, text, { files });
  assert.equal(settings.base.serverAdmin, 'one');
  assert.deepEqual(
    settings.listens.map((listen) => listen.port),
    [8001, 8002, 8003, 8004],
  );
});

test('an error in an included file is told with the place in that file', (t) => {
  const files = { 'inner.conf': 'KeepAlive On\n\nKeepAlive perhaps' };
  const error = refusal(t, '# outer\nInclude inner.conf', { files });
  assert.match(
    error.format(),
    /^AH00526: Syntax error on line 3 of .*\/inner\.conf:\nKeepAlive must be On or Off$/,
  );
});

test('a section must be closed in the file that opened it', (t) => {
  const files = { 'open.conf': '<VirtualHost *:8001>', 'close.conf': '</VirtualHost>' };
  assert.match(refusal(t, 'Include open.conf', { files }).message, /<VirtualHost> was not closed/);
  const closed = refusal(t, '<VirtualHost *:8001>\nInclude close.conf', { files });
  assert.match(closed.message, /<\/VirtualHost> without matching <VirtualHost> section/);
});

test('an included file may stand inside a section', (t) => {
  const files = { 'inner.conf': 'ServerName a.example' };
  const settings = load(t, '<VirtualHost *:8001>\nInclude inner.conf\n</VirtualHost>', { files });
  assert.equal(settings.hosts[0]?.serverName, 'a.example');
});

test('files and folders that include themselves are refused', (t) => {
  const error = refusal(t, 'Include t.conf');
  assert.match(error.message, /maximum include depth .* there appears to be a recursion/);
  const root = folder(t, { 't.conf': 'Include loop' });
  symlinkSync(root, join(root, 'loop'));
  assert.throws(() => loadConfiguration({ ...source, file: 't.conf', serverRoot: root }), ConfigError);
});

test('what cannot be read is told with its reason', (t) => {
  const root = folder(t);
  assert.throws(
    () => loadConfiguration({ ...source, file: 'none.conf', serverRoot: root }),
    (error) =>
      error instanceof ConfigError &&
      error.line === undefined &&
      error.format() === `Could not open configuration file ${root}/none.conf: No such file or directory`,
  );
  assert.match(refusal(t, 'Include none.conf').message, /none\.conf: No such file or directory/);
  assert.throws(
    () => loadConfiguration({ ...source, file: '.', serverRoot: root }),
    /is a folder, not a file/,
  );
});

test('variables come from Define, else from the environment, and may be undefined again', (t) => {
  const environment = { HOME_OF_IT: 'from the environment', Mixed: 'x' };
  const admin = (text: string) => load(t, text, { environment }).base.serverAdmin;
  assert.equal(admin('ServerAdmin "${HOME_OF_IT}"'), 'from the environment');
  assert.equal(admin('Define HOME_OF_IT own\nServerAdmin "${HOME_OF_IT}"'), 'own');
  assert.equal(admin('Define A one\nDefine B ${A}-two\nServerAdmin ${b}'), 'one-two', 'any case');
  assert.equal(admin('ServerAdmin ${mixed}'), '${mixed}', 'the environment has case');
  assert.equal(admin('Define A x\nUnDefine A\nServerAdmin ${A}'), '${A}');
});

test('an undefined variable stays as written with a warning; a map look-up goes without', (t) => {
  const { warnings, base } = load(t, 'ServerAdmin ${NOT_THERE}${map:key}');
  assert.equal(base.serverAdmin, '${NOT_THERE}${map:key}');
  assert.deepEqual(
    warnings.map((warning) => [warning.line, warning.message]),
    [[1, 'Config variable ${NOT_THERE} is not defined']],
  );
});

test('where a file of variables for shells lies beside the configuration, an undefined one leads there', (t) => {
  const { warnings } = load(t, 'ServerAdmin ${NOT_THERE}', { files: { envvars: 'export NOT_THERE=a@b\n' } });
  assert.match(
    warnings.map((warning) => warning.message).join('\n'),
    /^Config variable \$\{NOT_THERE\} is not defined: start with the variables of \S+\/envvars \(set -a; \. \S+\/envvars\)$/,
  );
});

test('-D defines, and its names have case', (t) => {
  const text = '<IfDefine DEBUG>\nServerAdmin debug\n</IfDefine>';
  assert.equal(load(t, text, { defines: ['DEBUG'] }).base.serverAdmin, 'debug');
  assert.equal(load(t, text, { defines: ['debug'] }).base.serverAdmin, undefined);
});

test('-C comes before the file and -c after it, with places of their own', (t) => {
  const root = folder(t, { 'htdocs/index.html': '', 't.conf': 'ServerAdmin file' });
  const read = (before: string[], after: string[]) =>
    loadConfiguration({ ...source, file: 't.conf', serverRoot: root, before, after }).settings.base
      .serverAdmin;
  assert.equal(read(['ServerAdmin before'], []), 'file');
  assert.equal(read([], ['ServerAdmin after']), 'after');
  assert.throws(
    () => read(['Nonsense'], []),
    (error) => error instanceof ConfigError && /line 1 of Command line: -C:/.test(error.format()),
  );
});

test('ServerRoot moves what relative paths hang off, `..` allowed', (t) => {
  const files = { 'inner/htdocs/index.html': '', 'inner/more.conf': 'DocumentRoot htdocs' };
  const settings = load(t, 'ServerRoot inner/../inner\nInclude more.conf', { files });
  assert.ok(settings.serverRoot.endsWith('/inner'));
  assert.equal(settings.base.documentRoot, `${settings.serverRoot}/htdocs`);
  assert.equal(settings.pidFile, `${settings.serverRoot}/logs/httpd.pid`);
  const misplaced = refusal(t, '<VirtualHost *:8001>\nServerRoot /\n</VirtualHost>');
  assert.match(misplaced.message, /ServerRoot cannot occur within <VirtualHost> section/);
});

test('LoadModule of what is built in goes without a word, of others with a warning', (t) => {
  const text =
    'LoadModule md_module modules/mod_md.so\nLoadModule mpm_event_module x\nLoadModule php_module x';
  assert.deepEqual(
    load(t, text).warnings.map((warning) => warning.message),
    ['LoadModule: php_module is not part of Latchkey; its directives are unknown here'],
  );
});
