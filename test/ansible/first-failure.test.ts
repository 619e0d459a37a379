import { expect, test } from 'vitest';
import type { JobSpec } from '../../src/job/spec.js';
import { AttemptBench } from './bench.js';

const local = { ansible_connection: 'local' };
const inventory: JobSpec['inventory'] = { all: { hosts: { web1: local, web2: local } } };
/** Of each host: two that fail and a rescue, three that may, and one in each play. */
const total = 2 * 8;

test.for<[string, object, string, number]>([
  ['a task', { broken: ['web1', 'web2'] }, 'task Deploy on web1 failed: no room left on the disk (and 1 more host)', 8],
  ['an item of a loop', { unlucky: ['web2'] }, 'task Install on web2 failed: nginx is not there', 13],
  ['a task that keeps its result to itself', { secretive: ['web1'] }, 'task Tell a secret on web1 failed', 14],
])('a playbook failed by %s names it, and tells how far it came', async ([, broken, message, done]) => {
  await using bench = await AttemptBench.open({
    playbook: 'first_failure.yml',
    inventory,
    forks: 1,
    extra_vars: { broken: [], unlucky: [], secretive: [], ...broken },
  });
  expect(await bench.run(await bench.place())).toMatchObject({
    status: 'failed',
    failure: { kind: 'exit', message: `ansible-playbook ended with rc 2: ${message}` },
    tasks: { done, total },
  });
});

test('one of which a host can not be reached names that', async () => {
  const gone = { ansible_connection: 'ssh', ansible_host: '127.0.0.1', ansible_port: 1 };
  await using bench = await AttemptBench.open({ playbook: 'failing.yml', inventory: { all: { hosts: { gone } } } });
  const outcome = await bench.run(await bench.place());
  expect(outcome).toMatchObject({ status: 'failed', failure: { kind: 'exit' }, tasks: { done: 2, total: 3 } });
  expect('failure' in outcome && outcome.failure.message).toMatch(
    /rc 4: host gone was unreachable at task Warn on stderr: .*ssh/,
  );
});
