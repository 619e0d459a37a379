import { expect, it } from 'vitest';
import { JobSpec } from '../../src/job/spec.js';

const play = (name: string, more: object = {}): object => ({ name, playbook: 'site.yml', ...more });
const refusals = (steps: object[]): string[] =>
  JobSpec.safeParse({ steps }).error?.issues.map(({ path, message }) => `${path.join('/')}: ${message}`) ?? [];

it('steps that could not be run in any order are refused, each where it is wrong', () => {
  expect(refusals([play('a'), play('b', { needs: ['a'] })])).toEqual([]);
  expect(refusals([play('a'), play('a')])).toEqual([expect.stringContaining('steps/1/name: another step')]);
  expect(refusals([play('a', { needs: ['x'] })])).toEqual(['steps/0/needs/0: there is no step "x"']);
  expect(refusals([play('a', { needs: ['b'] }), play('b', { needs: ['a'] })])).toEqual([
    'steps/0/needs: it needs itself: a needs b needs a',
  ]);
});

it('of two kinds of work it is said that one is to be given', () => {
  expect(refusals([play('a', { command: 'true' })])).toEqual(['steps/0/command: give only one of playbook, command']);
  const both = JobSpec.safeParse({ command: 'true', steps: [play('a')] }).error?.issues;
  expect(both).toMatchObject([{ path: ['steps'], message: 'give only one of command, steps' }]);
});

it('outputs that could not be handed on are refused', () => {
  const refused = (step: object): string[] => refusals([{ name: 'a', ...step }]);
  for (const name of ['ansible_host', 'groups', 'lookup', 'none'])
    expect(refused({ playbook: 'site.yml', outputs: [name] })).toHaveLength(1);
  expect(refused({ command: 'true', outputs: ['word'] })).toEqual([]);
  expect(refused({ command: 'true', outputs: ['word', 'other'] })).toEqual([
    expect.stringContaining('steps/0/outputs: a task has one output'),
  ]);
  const two = [play('a', { outputs: ['word'] }), play('b', { outputs: ['word'] }), play('c', { needs: ['a', 'b'] })];
  expect(refusals(two)).toEqual([expect.stringContaining('both have the output "word"')]);
});

it('a task that may run on is not tried again', () => {
  const spec = (on: string[]) => JobSpec.safeParse({ command: 'true', retry: { max_attempts: 2, on } });
  expect(spec(['lost']).success).toBe(true);
  for (const kind of ['unreachable', 'node_lost'])
    expect(spec([kind]).error?.issues).toMatchObject([{ path: ['retry', 'on'] }]);
  expect(refusals([{ name: 'a', command: 'true', retry: { on: ['unreachable'] } }])).toHaveLength(1);
});
