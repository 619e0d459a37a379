import { expect, it } from 'vitest';
import { playbookAttribute } from '../../src/job/search-attributes.js';
import { decodeCursor, encodeCursor, markOf } from '../../src/api/lists/cursor.js';
import { problemOf, unreachableApi } from './unreachable.js';

it.each([
  ['status=done', 'status', 'pending'],
  ['status=failed,', 'status', 'pending'],
  ['kind=cron', 'kind', 'playbook'],
  ['failure=bad', 'failure', 'timed_out'],
  ['since=yesterday', 'since', 'RFC 3339'],
  ['since=2026-11-22T09:00Z', 'since', 'RFC 3339'],
  ['until=2026-11-22T09:00:00', 'until', 'RFC 3339'],
  ['until=2026-11-22T09:00:00+01:00', 'until', '%2B'],
  ['limit=0', 'limit', '1'],
  ['limit=501', 'limit', '500'],
  ['limit=many', 'limit', 'number'],
  ['cursor=there', 'cursor', 'next_cursor'],
  ['state=failed', 'state', 'unknown parameter'],
  [`playbook=${'x'.repeat(256)}`, 'playbook', 'playbook_name'],
])('a list with %s is refused, and told what would do', async (query, parameter, said) => {
  const { request } = await unreachableApi();
  const problem = await problemOf(await request(`/api/v1/jobs?${query}`));
  expect(problem).toMatchObject({ status: 422, errors: [{ parameter, detail: expect.stringContaining(said) }] });
});

it('lists and counts say that Temporal is away', async () => {
  const { request } = await unreachableApi();
  for (const path of ['/api/v1/jobs?status=queued', '/api/v1/jobs/counts']) {
    const response = await request(path);
    expect(response.headers.get('retry-after')).not.toBeNull();
    expect((await problemOf(response)).status).toBe(503);
  }
});

it('a cursor keeps what it was made of, and no more of the delivered than fits into a header', () => {
  const delivered = Array.from({ length: 1000 }, (_, number) => markOf(String(number)));
  const cursor = { pageToken: Buffer.from('{"RunID":"…"}'), begunAt: Date.now(), delivered };
  const encoded = encodeCursor(cursor, 'query');
  expect(encoded.length).toBeLessThan(7_000);
  expect(decodeCursor(encoded, 'query')).toEqual({ ...cursor, delivered: delivered.slice(-800) });
  expect(new Set(delivered).size).toBe(1000);
  expect(() => decodeCursor(encoded, 'another')).toThrow('cursor');
});

it('no two playbooks have the same attribute, unless both are too long for one', () => {
  const paths = [
    'a.yml',
    "'a.yml'",
    'a.yml\n',
    '%27a.yml%27',
    '"a.yml"',
    '\\a.yml',
    'ä.yml',
    'a'.repeat(255),
    '\ud800',
    '%',
  ];
  const long = 'a'.repeat(256);
  const attributes = [...paths, long].map(playbookAttribute);
  expect(new Set(attributes).size).toBe(attributes.length);
  expect(Math.max(...attributes.map(({ length }) => length))).toBeLessThanOrEqual(255);
  expect(attributes[0]).toBe('a.yml');
});
