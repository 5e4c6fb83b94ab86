import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

/** What people and scripts look for in messages. */
const messages: readonly (readonly [text: string, message: string])[] = [
  ['MDPrivateKeys', 'needs to specify the private key type'],
  ['MDPrivateKeys Default RSA', "'Default' allows no other parameter"],
  ['MDPrivateKeys RSA 1024', 'must be 2048 or higher'],
  ['MDPrivateKeys RSA RSA', "two keys of type 'RSA' are not possible"],
  ['MDPrivateKeys P-256 P-256', "two keys of type 'P-256' are not possible"],
  ['MDRenewWindow x', 'has unrecognized format'],
  ['MDWarnWindow 3w', 'has unrecognized format'],
  ['MDRenewMode manual # x', 'takes one argument (a comment needs a line of its own), '],
  ['MDRenewMode manual always', 'MDRenewMode takes one argument, '],
  ['MDRenewWindow 100%', 'a length of 100% or more is not allowed.'],
  ['MDRequireHttps maybe', "supported parameter values are 'temporary' and 'permanent'"],
  ['MDDriveMode sometimes', 'use auto, always or manual'],
  ['MDomain manual', 'needs at least one domain name'],
  ['<MDomain auto>\n</MDomain>', 'must specify a unique domain name'],
  ['MDMembers a.example', 'names belong inside <MDomain>'],
  ['MDPortMap 80', "no ':' after first port number"],
  ['MDPortMap http:0', 'invalid number for port map, must be in ]0,65535]'],
  ['MDPortMap 443:65536', 'invalid number for port map, must be in ]0,65535]'],
  ['MDRetryDelay soon', 'unrecognized duration format'],
  ['MDRetryDelay 0', 'minimum delay must be greater than 0'],
  ['MDActivateOn never', "supported parameter values are 'renewal' and 'restart'"],
  ['MDCACertificateFile nowhere', 'does not exist or is empty'],
  ['MDStapling maybe', "supported parameter values are 'on' and 'off'"],
  ['MDStapleOthers maybe', "supported parameter values are 'on' and 'off'"],
  ['MDStaplingKeepResponse x', 'has unrecognized format'],
  ['MDStaplingRenewWindow 100%', 'a length of 100% or more is not allowed.'],
  ['MDExternalAccountBinding', 'takes 1-2 arguments'],
  ['MDExternalAccountBinding nowhere.json', 'MDExternalAccountBinding: file not found: /'],
  ['MDExternalAccountBinding .', 'file not found:'],
  ['MDRetryFailover 0', 'must be a number > 0'],
  ['MDRetryFailover -1', 'must be a number > 0'],
  ['MDRetryFailover 1h', 'must be a number > 0'],
  ['MDRateLimit nobody new-orders 1/h', "The CA name 'nobody' is not known "],
  ['MDRateLimit local orders 1/1h', "unknown 'orders', supported limits are new-orders, "],
  ['MDRateLimit local new-orders 300', "unrecognized limit '300': use 300/3h"],
  ['MDRateLimit local new-orders 0/3h', "unrecognized limit '0/3h'"],
  ['MDPreflight maybe', "'maybe' is neither on, off, nor DNS servers"],
  ['MDPreflight on 192.0.2.53', "MDPreflight: 'on 192.0.2.53' is neither"],
  ['MDRateLimit local new-orders 1/3w', "unrecognized limit '1/3w'"],
  ['MDStoreLocks maybe', "neither 'on', 'off' or a duration specified"],
  ['MDStoreLocks 0', 'minimum delay must be greater than 0'],
  ['MDBaseServer maybe', "supported parameter values are 'on' and 'off'"],
  ['MDServerStatus yes', "supported parameter values are 'on' and 'off'"],
  ['MDCertificateStatus 1', "supported parameter values are 'on' and 'off'"],
  ['MDCertificateCheck crt.sh', 'takes two arguments'],
  ['MDCertificateMonitor x javascript:alert(1)', 'scheme must be http or https'],
  ['MDCertificateAuthority yes', "The CA name 'yes' is not known "],
  ['MDCertificateAuthority ftp://ca.example/', 'scheme must be http or https'],
  ['MDHttpProxy proxy.example', 'MDHttpProxy: missing uri scheme'],
  ['MDHttpProxy file://proxy.example', 'scheme must be http or https'],
  ['MDHttpProxy http://', 'MDHttpProxy: missing hostname'],
  ['MDHttpProxy http://user@:80', 'MDHttpProxy: missing hostname'],
  ['MDHttpProxy http://proxy.example:-1', 'invalid port'],
  ['MDHttpProxy http://proxy.example:65536', 'invalid port'],
  ['MDHttpProxyCACertificateFile nowhere', 'does not exist or is empty'],
  ['MDProfile "a b"', "'a b' is no name of a profile"],
  ['MDProfileMandatory x', "supported parameter values are 'on' and 'off'"],
  ['MDMustStaple x', "supported parameter values are 'on' and 'off'"],
  ['MDRenewViaARI x', "supported parameter values are 'on' and 'off'"],
  ['<Directory />\nMDomain a.example\n</Directory>', 'MDomain cannot occur within <Directory> section'],
  ['<Location />\nMDRequireHttps off\n</Location>', 'MDRequireHttps cannot occur within <Location> section'],
  ['<Location />\nServerName a\n</Location>', 'ServerName not allowed in <Location> context'],
  ['<VirtualHost *:80>\nListen 80\n</VirtualHost>', 'Listen cannot occur within <VirtualHost> section'],
  ['Require local', 'Require not allowed here'],
  ['ServerAdmin', 'ServerAdmin takes one argument, '],
  ['KeepAlive 1', 'KeepAlive must be On or Off'],
  ['SSLCertificateFile /nonexistent', "SSLCertificateFile: file '/nonexistent' does not exist or is empty"],
  ['TLSEngine x', "TLSEngine: invalid address/port in 'x'"],
  ['TLSStrictSNI x', "TLSStrictSNI: value must be 'On' or 'Off': 'x'"],
  ['TLSProtocol x', "TLSProtocol: value must be 'default', 'TLSv1.2+' or 'TLSv1.3+': 'x'"],
  ['TLSProtocol TLSv1.4+', 'unrecognized protocol version specifier (try TLSv1.2+ or TLSv1.3+)'],
  ['SSLOCSPEnable leaf', 'asks no responder while a client waits: use SSLCARevocationFile'],
  ['SSLUserName x', "SSLUserName: 'x' is no variable of TLS"],
  ['SSLOptions StdEnv', "SSLOptions: Illegal option 'StdEnv'"],
  ['TLSOptions StdEnv', "TLSOptions: unknown option 'StdEnv'"],
  ['ScriptAlias /x', 'must have two arguments when used globally'],
  ['CGIScriptTimeout soon', "invalid time 'soon'"],
  ['SetEnvIf Host', 'Missing regular expression for SetEnvIf'],
  ['BrowserMatch x', 'Missing envariable expression for BrowserMatch'],
  ['SetEnvIf Host ( x', 'Regex could not be compiled'],
  ['SetEnv a=b c', "'a=b' is no variable's name"],
  ['AddType application/x-httpd-php .php', 'such files would be served as they are'],
  ['<Location /x>\nRequire method GET\n</Location>', 'Require expr "%{REQUEST_METHOD} in'],
  ['AddHandler php-script .php', 'AddHandler php-script is not supported yet by this version of Latchkey'],
  ['SSLFIPS on', 'SSLFIPS is not supported by Latchkey'],
  ['RewriteEngine on', 'RewriteEngine is not supported by Latchkey: use Redirect'],
  ['RedirectMatch ( /x', 'Regex could not be compiled'],
  ['RedirectMatch one ^/x /y', 'RedirectMatch: invalid first argument (of three)'],
  ['RedirectMatch gone ^/x /y', 'RedirectMatch URL not valid for this status'],
  ['RedirectMatch ^/x', 'URL to redirect to is missing'],
  ['AliasMatch [ /x', 'Regex could not be compiled'],
  ['<Directory />\nAuthType Basic\n</Directory>', 'AuthType is not supported yet'],
  ['<Directory />\nAllowOverride All\n</Directory>', 'no .htaccess file is read'],
  ['<Directory />\nOrder allow,deny\n</Directory>', 'use Require all granted'],
  ['MDomain ../../etc', "'../../etc' is no DNS name"],
  ['CustomLog "|rotate" common', 'name a file'],
];

test('the file of an external account is refused with words that show nothing of it', (t) => {
  const files: Readonly<Record<string, readonly [text: string, message: string]>> = {
    'a.json': ['SECRET', 'error reading JSON file'],
    'b.json': ['{"hmac": "SECRET"}', "JSON does not contain 'kid' element in file"],
    'c.json': ['{"kid": 7, "hmac": "SECRET"}', "JSON does not contain 'kid' element in file"],
    'd.json': ['{"kid": "SECRET"}', "JSON does not contain 'hmac' element in file"],
    'e.json': ['{"kid": "SECRET", "hmac": ""}', "JSON does not contain 'hmac' element in file"],
    'f.json': ['null', "JSON does not contain 'kid' element in file"],
    'g.json': [JSON.stringify({ kid: 'SECRET', hmac: 'SECRET'.repeat(20_000) }), 'error reading JSON file'],
  };
  for (const [name, [text, message]] of Object.entries(files)) {
    const found = refusal(t, `MDExternalAccountBinding ${name}`, { files: { [name]: text } }).format();
    assert.ok(found.includes(message), found);
    assert.ok(!found.includes('SECRET'), found);
  }
  const quoted = refusal(t, 'MDExternalAccountBinding "kid SECRET"').format();
  assert.match(quoted, /file not found:/);
  assert.ok(!quoted.includes('SECRET'), quoted);
});

test('messages have the texts that people and scripts rely on', (t) => {
  for (const [text, message] of messages) {
    const found = refusal(t, text).message;
    assert.ok(found.includes(message), `${text}\n${found}`);
  }
});

test('an unknown directive is answered with the nearest names', (t) => {
  const near = (text: string) => /; did you mean (.*)\?$/.exec(refusal(t, text).message)?.[1];
  assert.equal(near('ServerNmae a'), "'ServerName'");
  assert.equal(near('MDCertificateAuthoriy a'), "'MDCertificateAuthority'");
  assert.equal(near('<VirtalHost *:80>\n</VirtalHost>'), "'<VirtualHost'");
  assert.equal(near('Blether a'), undefined);
});

test('a harmless directive of httpd gives one warning, however often it stands there', (t) => {
  const { warnings } = load(t, 'ServerTokens Prod\nStartServers 1\nServerTokens Full\nservertokens Min');
  assert.deepEqual(
    warnings.map((warning) => `${warning.line} ${warning.module}: ${warning.message}`),
    [
      '1 core: ServerTokens has no effect in Latchkey and is ignored',
      '2 mpm: StartServers has no effect in Latchkey and is ignored',
    ],
  );
});

test('directives of a module that is missing are errors, unless in <IfModule>', (t) => {
  load(t, 'LoadModule php_module x\n<IfModule php_module>\nphp_value a b\n</IfModule>');
  assert.match(refusal(t, 'LoadModule php_module x\nphp_value a b').message, /^php_value is not supported/);
  assert.match(refusal(t, 'LoadModule wsgi_module x\nWSGIRestrict a').message, /^Invalid command/);
});

test('an error is printed as httpd prints it', (t) => {
  const error = refusal(t, '\nNonsense');
  assert.equal(
    error.format(),
    `AH00526: Syntax error on line 2 of ${error.file}:\nInvalid command 'Nonsense', perhaps misspelled or defined by a module not included in the server configuration`,
  );
  assert.equal(String(error), error.format());
  assert.equal(error.code, 'config-syntax');
});

test('all that is wrong is told at once, each thing once', (t) => {
  const text = [
    'AuthType Basic',
    '<Directory "/srv">',
    'RewriteEngine on',
    '</Directory>',
    'AuthType Digest',
    '<Nonsense>',
    'InNonsense x',
    '</Nonsense>',
    'Listen nowhere:',
    'AuthName x',
  ].join('\n');
  const error = refusal(t, text);
  const report = error.report();
  assert.match(error.format(), /line 1 of .*:\nAuthType is not supported yet/);
  assert.deepEqual(
    [...report.matchAll(/Syntax error on line (\d+) of /g)].map(([, line]) => Number(line)),
    [1, 3, 6, 9, 10],
  );
  assert.match(report, /Invalid command '<Nonsense'/);
});

test('of very many errors twenty more are told, and how many there are besides', (t) => {
  const text = Array.from({ length: 30 }, (_, index) => `NotThere${index}`).join('\n');
  const report = refusal(t, text).report();
  assert.equal(report.match(/Invalid command/g)?.length, 21);
  assert.match(report, /\nand 9 more$/);
});
