import { expect, it } from 'vitest';
import { JobSpec } from '../../src/job/spec.js';
import { submittedOf } from '../../src/job/submitted.js';

it('of what was submitted a document shows all but the values of variables and the inventory itself', () => {
  const spec = JobSpec.parse({
    playbook: 'site.yml',
    extra_vars: { password: 'hunter2' },
    inventory: { all: { vars: { token: 'hunter2' } } },
    metadata: { ticket: 'hunter2' },
    limit: 'web',
    labels: ['nightly'],
  });
  const shown = submittedOf(spec);
  expect(shown).toEqual({
    inventory: null,
    extra_vars: ['password'],
    limit: 'web',
    tags: [],
    skip_tags: [],
    check: false,
    diff: false,
    verbosity: 0,
    become: false,
    retry: { max_attempts: 3, backoff: [30, 60], on: ['lost', 'launch'] },
    on_node_lost: 'wait',
    priority: 3,
    labels: ['nightly'],
    ttl: 86400,
  });
  expect(submittedOf(JobSpec.parse({ playbook: 'site.yml', inventory: 'prod/hosts' })).inventory).toBe('prod/hosts');
});

it('what would take too much room in each list is left out, and nothing else', () => {
  const names = Object.fromEntries(Array.from({ length: 2000 }, (_, at) => [`variable_${at}`, at]));
  const tags = Array.from({ length: 200 }, (_, at) => `${at}-`.padEnd(100, 'é'.normalize('NFD').slice(0, 1)));
  const shown = submittedOf(JobSpec.parse({ playbook: 'site.yml', extra_vars: names, tags, limit: 'web' }));
  expect(JSON.stringify(shown).length).toBeLessThan(16 * 1024);
  expect(shown).toMatchObject({ limit: 'web', priority: 3, on_node_lost: 'wait' });
  expect(shown).not.toHaveProperty('extra_vars');
  expect(shown).not.toHaveProperty('tags');
});

it('of the steps of a job it shows the same, and no arguments of modules', () => {
  const spec = JobSpec.parse({
    extra_vars: { token: 'hunter2' },
    steps: [
      { name: 'make', playbook: 'make.yml', extra_vars: { password: 'hunter2' }, outputs: ['version'] },
      {
        name: 'tell',
        task: { module: 'ansible.builtin.uri', args: { password: 'hunter2' } },
        inventory: { all: { vars: { token: 'hunter2' } } },
        needs: ['make'],
        on_failure: 'continue',
      },
    ],
  });
  const shown = submittedOf(spec);
  expect(JSON.stringify(shown)).not.toContain('hunter2');
  expect(shown).not.toHaveProperty('inventory');
  expect(shown).toMatchObject({
    extra_vars: ['token'],
    steps: [
      { name: 'make', kind: 'playbook', title: 'make.yml', extra_vars: ['password'], outputs: ['version'] },
      {
        name: 'tell',
        kind: 'task',
        title: 'ansible.builtin.uri',
        inventory: null,
        needs: ['make'],
        on_failure: 'continue',
      },
    ],
  });
});
