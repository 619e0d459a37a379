import type { Step } from './kinds/steps.js';
import type { TaskSpec } from './kinds/task.js';
import type { JobSpec } from './spec.js';

const titleCharacters = 200;

/** What a job or a step runs, in one line. */
export function titleOf(spec: JobSpec | Step): string {
  switch (spec.kind) {
    case 'playbook':
      return spec.playbook;
    case 'task':
      return shortened(taskTitle(spec));
    case 'adopt':
      return `${spec.adopt.ansible_job_id} on ${spec.adopt.host}`;
    case 'steps':
      return shortened(`Steps: ${spec.steps.map(({ name }) => name).join(', ')}`);
  }
}

function shortened(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= titleCharacters ? line : `${line.slice(0, titleCharacters - 1)}…`;
}

function taskTitle({ command, task }: Pick<TaskSpec, 'command' | 'task'>): string {
  if (task !== undefined) return task.module;
  return typeof command === 'string' ? command : (command ?? []).join(' ');
}
