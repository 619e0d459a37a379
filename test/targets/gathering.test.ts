import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Gathering } from '../../src/targets/gathering.js';

const never = new AbortController().signal;

/** Calls that are answered when the test says so; each item is answered by itself. */
class Calls {
  readonly made: {
    items: string[];
    signal: AbortSignal;
    answer: (first?: number) => void;
    fail: (error: Error) => void;
  }[] = [];
  readonly call = (items: string[], signal: AbortSignal): Promise<string[]> =>
    new Promise((resolve, reject) => {
      this.made.push({
        items,
        signal,
        answer: (first) => resolve(items.slice(0, first).map((item) => `${item}!`)),
        fail: reject,
      });
    });
}

test('what is asked of a place during a call goes with the next one, other places are asked at once', async () => {
  const [calls, gathering] = [new Calls(), new Gathering<string, string>({ items: 10, bytes: 1000 })];
  const answers = ['a', 'b', 'c'].map((item) => gathering.ask('here', item, calls.call, never));
  const other = gathering.ask('there', 'd', calls.call, never);
  expect(calls.made.map(({ items }) => items)).toEqual([['a'], ['d']]);
  calls.made[1]!.answer();
  calls.made[0]!.answer();
  expect(await other).toBe('d!');
  expect(await answers[0]).toBe('a!');
  expect(calls.made[2]!.items).toEqual(['b', 'c']);
  calls.made[2]!.answer();
  expect(await Promise.all(answers)).toEqual(['a!', 'b!', 'c!']);
});

test('a call takes along what it may, and of one item whatever it has', async () => {
  const [calls, gathering] = [new Calls(), new Gathering<string, string>({ items: 3, bytes: 20 })];
  const items = ['first', 'x'.repeat(50), '1', '2', '3', '4', '5'.repeat(12), '6'.repeat(12)];
  const answers = items.map((item) => gathering.ask('here', item, calls.call, never));
  let answered = 0;
  while (answered < calls.made.length) {
    calls.made[answered++]!.answer();
    await turn();
  }
  await Promise.all(answers);
  const [first, large, ...small] = items;
  expect(calls.made.map(({ items }) => items)).toEqual([
    [first],
    [large],
    small.slice(0, 3),
    small.slice(3, 5),
    small.slice(5),
  ]);
});

test('who does not wait any more is not asked for, and a call ends when none waits for it', async () => {
  const [calls, gathering] = [new Calls(), new Gathering<string, string>({ items: 10, bytes: 1000 })];
  const [one, two] = [new AbortController(), new AbortController()];
  const first = gathering.ask('here', 'a', calls.call, never);
  const left = gathering.ask('here', 'b', calls.call, AbortSignal.abort(new Error('before')));
  await expect(left).rejects.toThrow('before');
  const waiting = gathering.ask('here', 'c', calls.call, one.signal);
  const asked = [one, two].map((_, index) => gathering.ask('here', `d${index}`, calls.call, two.signal));
  one.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  calls.made[0]!.answer();
  await first;
  await turn();
  expect(calls.made[1]!.items).toEqual(['d0', 'd1']);
  expect(calls.made[1]!.signal.aborted).toBe(false);
  two.abort(new Error('all gone'));
  expect(calls.made[1]!.signal.aborted).toBe(true);
  for (const each of asked) await expect(each).rejects.toThrow('all gone');
  calls.made[1]!.answer();
  await turn();
  const last = gathering.ask('here', 'e', calls.call, never);
  calls.made[2]!.answer();
  expect(await last).toBe('e!');
});

test('a call that fails, or answers less than it was asked, fails for all that it was made for', async () => {
  const [calls, gathering] = [new Calls(), new Gathering<string, string>({ items: 10, bytes: 1000 })];
  const first = gathering.ask('here', 'a', calls.call, never);
  const others = ['b', 'c'].map((item) => gathering.ask('here', item, calls.call, never));
  calls.made[0]!.fail(new Error('cut'));
  await expect(first).rejects.toThrow('cut');
  calls.made[1]!.answer(1);
  for (const each of await Promise.allSettled(others)) expect(each).toMatchObject({ status: 'rejected' });
});

test('an answer about the place itself is given to all who wait for one from there', async () => {
  const calls = new Calls();
  const gathering = new Gathering<string, string>({ items: 1, bytes: 1000 }, (answer) => answer === 'away!');
  const answers = ['here', 'away', 'b', 'c'].map((item) => gathering.ask('here', item, calls.call, never));
  calls.made[0]!.answer();
  expect(await answers[0]).toBe('here!');
  expect(calls.made[1]!.items).toEqual(['away']);
  calls.made[1]!.answer();
  expect(await Promise.all(answers.slice(1))).toEqual(['away!', 'away!', 'away!']);
  expect(calls.made).toHaveLength(2);
});
