import { expect, it } from 'vitest';
import { jobPath } from '../../src/api/links.js';
import { madeName, nameOfKey } from '../../src/api/made-name.js';
import { preferredWait } from '../../src/api/request.js';
import { isName } from '../../src/job/names.js';

it('made names are names, unique, and sort by time', () => {
  const names = Array.from({ length: 1000 }, (_, index) => madeName(1_700_000_000_000 + index));
  expect(names.every(isName)).toBe(true);
  expect(new Set(names).size).toBe(1000);
  expect([...names].sort()).toEqual(names);
  expect(names[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

it('a key stands for one name', () => {
  expect(nameOfKey('k')).toBe(nameOfKey('k'));
  expect(nameOfKey('k')).not.toBe(nameOfKey('l'));
  expect(isName(nameOfKey('any text / at all'))).toBe(true);
});

it("a job's path leads back to its name", () => {
  const path = jobPath({ playbookName: 'a+b', name: '100%41' });
  expect(path).toBe('/api/v1/jobs/a+b:100%2541');
  expect(decodeURIComponent(path)).toBe('/api/v1/jobs/a+b:100%41');
});

it.each([
  ['wait=30', 30],
  ['respond-async, wait=10', 10],
  ['wait = "5"; x', 5],
  ['wait=999', 60],
  ['waits=30', undefined],
  ['respond-async', undefined],
  [undefined, undefined],
])('Prefer: %s asks to wait %s s', (header, seconds) => {
  expect(preferredWait(header)).toBe(seconds);
});
