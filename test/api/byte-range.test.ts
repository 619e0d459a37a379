import { describe, expect, it } from 'vitest';
import { parseRange } from '../../src/api/byte-range.js';

describe('a Range header', () => {
  it.each([
    ['bytes=0-0', 10, { start: 0, end: 1 }],
    ['bytes=2-5', 10, { start: 2, end: 6 }],
    ['bytes=2-', 10, { start: 2, end: 10 }],
    ['bytes=2-99', 10, { start: 2, end: 10 }],
    ['bytes=-3', 10, { start: 7, end: 10 }],
    ['bytes=-99', 10, { start: 0, end: 10 }],
  ])('%s of %i bytes is a part', (header, size, range) => {
    expect(parseRange(header, size)).toEqual(range);
  });

  it.each([
    ['bytes=10-', 10],
    ['bytes=10-20', 10],
    ['bytes=0-', 0],
    ['bytes=-0', 10],
    ['bytes=-5', 0],
  ])('%s of %i bytes asks for what is not there', (header, size) => {
    expect(parseRange(header, size)).toBe('unsatisfiable');
  });

  it.each([undefined, '', 'bytes=-', 'bytes=5-2', 'bytes=0-1,4-5', 'lines=0-1', 'bytes=a-b', 'bytes 0-1'])(
    '%s is passed over: everything is the answer',
    (header) => {
      expect(parseRange(header, 10)).toBeUndefined();
    },
  );
});
