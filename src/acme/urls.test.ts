import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAllowedUrl } from './urls.ts';

test('https is allowed anywhere, http on loopback', () => {
  const good = [
    'https://ca.example/dir',
    'https://192.0.2.1:14000/',
    'http://localhost/',
    'http://ca.localhost:1/',
    'http://127.0.0.1/',
    'http://127.9.9.9/',
    'http://127.1/',
    'http://[::1]:8/',
  ];
  for (const url of good) assert(isAllowedUrl(url), url);
});

test('everything else is not', () => {
  const bad = [
    '',
    'ca.example',
    '//ca.example/',
    'http://ca.example/',
    'http://localhost.example/',
    'http://127.0.0.1.example/',
    'http://[::2]/',
    'http://0.0.0.0/',
    'https://user@ca.example/',
    'https://:pw@ca.example/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'https://',
  ];
  for (const url of bad) assert(!isAllowedUrl(url), url);
});
