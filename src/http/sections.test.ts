import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExpression } from '../config/expression.ts';
import type { Section } from '../config/settings.ts';
import { SectionTable } from './sections.ts';
import { section } from './settings.testing.ts';

/** Each section leaves its name behind, as `Header append M name` would. */
const mark = (name: string) => ({
  headers: [
    {
      condition: 'always' as const,
      action: 'append' as const,
      name: 'M',
      value: name,
      replacement: undefined,
      env: undefined,
      expr: undefined,
    },
  ],
});

function marks(sections: Section[], path: string, filename?: string, proxyTarget?: string): string[] {
  const table = new SectionTable({ directory: {}, sections });
  const evaluate = ({ source }: { source: string }) => source === 'true';
  const merged = table.resolve({ path, filename, proxyTarget, evaluate });
  return (merged.headers ?? []).map((rule) => `${rule.value}`);
}

const yes = parseExpression('true');
const no = parseExpression('false');

test('sections merge in the order httpd was seen to merge them', () => {
  const sections = [
    section({ kind: 'directory-match', pattern: /\/doc/ }, mark('dm-doc')),
    section({ kind: 'location', path: '/*/index.html' }, mark('loc-index')),
    section({ kind: 'directory', path: '/srv/docs/sub' }, mark('dir-sub'), [
      section({ kind: 'files', name: 'ind*' }, mark('dir-sub-files')),
    ]),
    section({ kind: 'directory', path: '/srv/d*' }, mark('dir-d*')),
    section({ kind: 'if', condition: yes }, mark('if')),
    section({ kind: 'location', path: '/sub' }, mark('loc-sub'), [
      section({ kind: 'if', condition: yes }, mark('loc-if')),
    ]),
    section({ kind: 'location-match', pattern: /^\/sub/ }, mark('locm')),
    section({ kind: 'files', name: 'index.html' }, mark('files-index')),
  ];
  assert.deepEqual(marks(sections, '/sub/index.html', '/srv/docs/sub/index.html'), [
    'dir-d*',
    'dir-sub',
    'dm-doc',
    'files-index',
    'dir-sub-files',
    'loc-index',
    'loc-sub',
    'locm',
    'if',
    'loc-if',
  ]);
});

test('folders match at a slash only, shortest first', () => {
  const sections = [
    section({ kind: 'directory', path: '/srv/a' }, mark('a')),
    section({ kind: 'directory', path: '/' }, mark('root')),
    section({ kind: 'directory', path: '/srv/' }, mark('srv')),
  ];
  assert.deepEqual(marks(sections, '/', '/srv/a/x'), ['root', 'srv', 'a']);
  assert.deepEqual(marks(sections, '/', '/srv/ab'), ['root', 'srv']);
  assert.deepEqual(marks(sections, '/', '/srv'), ['root', 'srv']);
});

test('locations match at a slash only; with a trailing slash only below; wildcards the whole path', () => {
  const sections = [
    section({ kind: 'location', path: '/p' }, mark('p')),
    section({ kind: 'location', path: '/p/' }, mark('p/')),
    section({ kind: 'location', path: '/s*' }, mark('s*')),
    section({ kind: 'location', path: '/' }, mark('all')),
  ];
  assert.deepEqual(marks(sections, '/p'), ['p', 'all']);
  assert.deepEqual(marks(sections, '/p/x'), ['p', 'p/', 'all']);
  assert.deepEqual(marks(sections, '/px'), ['all']);
  assert.deepEqual(marks(sections, '/sub'), ['s*', 'all']);
  assert.deepEqual(marks(sections, '/sub/x'), ['all']);
});

test('a chain of conditions takes the first branch that holds', () => {
  const chain = (first: typeof yes, second: typeof yes) => [
    section({ kind: 'if', condition: first }, mark('if')),
    section({ kind: 'else-if', condition: second }, mark('else-if')),
    section({ kind: 'else' }, mark('else')),
  ];
  assert.deepEqual(marks(chain(yes, yes), '/'), ['if']);
  assert.deepEqual(marks(chain(no, yes), '/'), ['else-if']);
  assert.deepEqual(marks(chain(no, no), '/'), ['else']);
  const nested = [section({ kind: 'if', condition: yes }, mark('outer'), chain(no, no))];
  assert.deepEqual(marks(nested, '/'), ['outer', 'else']);
});

test('proxied requests have <Proxy> in the place of folders and files', () => {
  const sections = [
    section({ kind: 'directory', path: '/' }, mark('root')),
    section({ kind: 'files', name: '*' }, mark('files')),
    section({ kind: 'proxy', url: '*' }, mark('any')),
    section({ kind: 'proxy', url: 'http://b.test/' }, mark('b')),
    section({ kind: 'proxy', url: 'http://c.test/' }, mark('c')),
  ];
  assert.deepEqual(marks(sections, '/x', undefined, 'http://b.test/x'), ['any', 'b']);
  assert.deepEqual(marks(sections, '/x', '/srv/x'), ['root', 'files']);
});

test('the same sections give the same merged settings, object for object', () => {
  const sections = [section({ kind: 'location', path: '/p' }, mark('p'))];
  const table = new SectionTable({ directory: mark('base'), sections });
  const place = { filename: undefined, proxyTarget: undefined, evaluate: () => false };
  assert.equal(table.resolve({ ...place, path: '/p/1' }), table.resolve({ ...place, path: '/p/2' }));
});
