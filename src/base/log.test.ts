import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLoggers, escapeControls, formatLine, type LogLevels } from './log.ts';

test('a line has the format of httpd', () => {
  const line = formatLine(new Date(2026, 10, 22, 6, 0, 0, 123), 'md', 'notice', 'AH10059: text');
  const pid = process.pid;
  assert.equal(line, `[Sun Nov 22 06:00:00.123000 2026] [md:notice] [pid ${pid}:tid ${pid}] AH10059: text`);
});

test('no text from outside can end a line or drive a terminal', () => {
  assert.equal(escapeControls('a\nb\r\tc\u001b[31m\u0000\u0085'), 'a\\nb\\r\\tc\\x1b[31m\\x00\\x85');
});

test('a module has its own level where LogLevel gives it one, and levels are asked for at each line', () => {
  const lines: string[] = [];
  let levels: LogLevels = { all: 'warn', modules: { md: 'debug' } };
  const loggers = createLoggers(
    (line) => lines.push(line.slice(line.indexOf('] [') + 2)),
    () => levels,
  );
  loggers('core').info('not this');
  loggers('md').debug('this');
  assert.equal(loggers('core').enabled('info'), false);
  levels = { all: 'info', modules: {} };
  loggers('core').info('now this');
  loggers('md').debug('no more');
  assert.deepEqual(
    lines.map((line) => line.replace(/ \[pid.*?\]/, '')),
    ['[md:debug] this', '[core:info] now this'],
  );
});

test('a notice is written whatever the level is', () => {
  const lines: string[] = [];
  const loggers = createLoggers(
    (line) => lines.push(line),
    () => ({ all: 'emerg', modules: {} }),
  );
  loggers('md').notice('set up');
  loggers('md').error('gone');
  assert.deepEqual(
    lines.map((line) => line.split('] ').at(-1)),
    ['set up'],
  );
});
