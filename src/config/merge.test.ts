import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changeOptions, mergeDirectory } from './merge.ts';
import type { DirectorySettings, HeaderRule } from './settings.ts';

const header = (name: string): HeaderRule => ({
  condition: 'onsuccess',
  action: 'set',
  name,
  value: 'x',
  replacement: undefined,
  env: undefined,
  expr: undefined,
});

test('what is not said is inherited, what is said replaces', () => {
  const base: DirectorySettings = {
    handler: 'md-status',
    directoryIndex: ['index.html'],
    require: { rule: { kind: 'all', granted: false } },
  };
  const over: DirectorySettings = {
    directoryIndex: ['main.html'],
    require: { rule: { kind: 'local' } },
  };
  assert.deepEqual(mergeDirectory(base, over), {
    handler: 'md-status',
    directoryIndex: ['main.html'],
    require: { rule: { kind: 'local' } },
  });
});

test('headers add up in order, error documents and types by code and extension', () => {
  const base: DirectorySettings = {
    headers: [header('A')],
    requestHeaders: [header('R')],
    errorDocuments: { 404: { kind: 'text', text: 'base' }, 500: { kind: 'default' } },
    types: { a: 'x/a', b: 'x/b' },
    proxyPassReverse: ['http://a.example/'],
  };
  const over: DirectorySettings = {
    headers: [header('B')],
    requestHeaders: [header('S')],
    errorDocuments: { 404: { kind: 'path', path: '/404' } },
    types: { b: 'y/b' },
    proxyPassReverse: ['http://b.example/'],
  };
  assert.deepEqual(mergeDirectory(base, over), {
    headers: [header('A'), header('B')],
    requestHeaders: [header('R'), header('S')],
    errorDocuments: { 404: { kind: 'path', path: '/404' }, 500: { kind: 'default' } },
    types: { a: 'x/a', b: 'y/b' },
    proxyPassReverse: ['http://a.example/', 'http://b.example/'],
  });
});

test('nothing laid over something is that something itself', () => {
  const base: DirectorySettings = { handler: 'a' };
  assert.equal(mergeDirectory(base, {}), base);
  assert.equal(mergeDirectory({}, base), base);
});

test('Options with signs change what is inherited, without they replace it', () => {
  const set = { kind: 'set', options: ['Indexes', 'FollowSymLinks'] } as const;
  const change = { kind: 'change', add: ['ExecCGI'], remove: ['Indexes'] } as const;
  assert.deepEqual(changeOptions(set, change), { kind: 'set', options: ['FollowSymLinks', 'ExecCGI'] });
  assert.deepEqual(changeOptions(change, set), set);
  assert.deepEqual(changeOptions(change, { kind: 'change', add: ['Indexes'], remove: ['ExecCGI'] }), {
    kind: 'change',
    add: ['Indexes'],
    remove: ['ExecCGI'],
  });
  assert.deepEqual(mergeDirectory({ options: set }, { options: change }).options, {
    kind: 'set',
    options: ['FollowSymLinks', 'ExecCGI'],
  });
});
