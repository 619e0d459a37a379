import { expect, test } from 'vitest';
import { refusedVariable } from '../../src/job/variables.js';

test.each([
  ['ansible_user', 'alice'],
  ['ansible_user', 'alice@corp.example.com'],
  ['ansible_user', String.raw`CORP\alice`],
  ['ansible_user', 'alice+dev'],
  ['ansible_user', 'MACHINE$'],
  ['ansible_host', '2001:db8::1'],
  ['ansible_host', '::1'],
  ['ansible_host', '::ffff:192.0.2.1'],
  ['constructor', 'x'],
])('%s may be %s', (name, value) => {
  expect(refusedVariable(name, value)).toBeUndefined();
});

test.each([
  ['ansible_user', '-oProxyCommand=x'],
  ['ansible_user', '@alice'],
  ['ansible_user', 'a b'],
  ['ansible_user', 'a"b'],
  ['ansible_user', '{{ x }}'],
  ['ansible_user', 'a${x}'],
  ['ansible_user', 'a$HOME'],
  ['ansible_user', 'a`x`'],
  ['ansible_user', 'a\n'],
  ['ansible_user', 'a\\'],
  ['ansible_user', 'a\\\\b'],
  ['ansible_host', '::'],
  ['ansible_host', '-1'],
  ['ansible_host', 'a@b'],
  ['ansible_become_user', 'a@b'],
])('%s may not be %j', (name, value) => {
  expect(refusedVariable(name, value)).toContain('characters that are not allowed');
});
