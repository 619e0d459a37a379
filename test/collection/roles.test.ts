import path from 'node:path';
import { expect, test } from 'vitest';
import { also } from '../service/chaos.js';
import { needsSshd } from '../targets/sshd.js';
import { describeOn } from './backends.js';
import { Scene } from './scene.js';

const playbook = (name: string) => path.join(import.meta.dirname, 'playbooks', name);

needsSshd('the roles', () => {
  // What they do is the same with every backend: storage.test.ts holds each to what they rest on.
  describeOn('filesystem', 'with state in files', (fresh) => {
    test('refuse a missing or wrong parameter before they do anything', async () => {
      await using scene = await Scene.open(fresh(), 0);
      const { code, output } = await scene.operator().play(playbook('missing_parameters.yml'));
      expect(output).toMatch(/rescued=7 /);
      expect(code, output).toBe(0);
    });

    also('find, list and remove jobs by host, playbook, age and state', async () => {
      await using scene = await Scene.open(fresh());
      const { code, output } = await scene.operator().play(playbook('jobs_come_and_go.yml'));
      expect(code, output).toBe(0);
    });
  });
});
