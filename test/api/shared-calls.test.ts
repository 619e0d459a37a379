import { expect, it } from 'vitest';
import { SharedCalls } from '../../src/api/temporal/shared-calls.js';

function controlled() {
  const pending: ((value: number) => void)[] = [];
  let calls = 0;
  const load = () => {
    calls += 1;
    return new Promise<number>((resolve) => pending.push(resolve));
  };
  return { load, calls: () => calls, answer: (value: number) => pending.shift()!(value) };
}

it('many who ask at once cause two calls, and nobody gets an answer older than the question', async () => {
  const shared = new SharedCalls<number>();
  const { load, calls, answer } = controlled();
  const first = shared.get('a', load);
  const later = Array.from({ length: 50 }, () => shared.get('a', load));
  expect(calls()).toBe(1);
  answer(1);
  expect(await first).toBe(1);
  await new Promise(setImmediate);
  expect(calls()).toBe(2);
  answer(2);
  expect(new Set(await Promise.all(later))).toEqual(new Set([2]));
});

it('what one asks is not answered with what another asked', async () => {
  const shared = new SharedCalls<string>();
  const answers = await Promise.all(['a', 'b'].map((key) => shared.get(key, () => Promise.resolve(key))));
  expect(answers).toEqual(['a', 'b']);
});

it('a failed call fails its own callers only', async () => {
  const shared = new SharedCalls<number>();
  const first = shared.get('a', () => Promise.reject(new Error('down')));
  const second = shared.get('a', () => Promise.resolve(2));
  await expect(first).rejects.toThrow('down');
  expect(await second).toBe(2);
});
