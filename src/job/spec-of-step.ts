import type { PlaybookSpec } from './kinds/playbook.js';
import type { Step, StepsSpec } from './kinds/steps.js';
import type { TaskSpec } from './kinds/task.js';

/** The spec that a step is run with. @param given the outputs of the steps that it needs */
export function specOfStep(spec: StepsSpec, step: Step, given: Record<string, unknown>): PlaybookSpec | TaskSpec {
  return {
    ...without(spec, 'kind', 'steps'),
    ...without(step, 'name', 'needs', 'on_failure', 'outputs'),
    metadata: {},
    when_finished: 'return',
    inventory: step.inventory ?? spec.inventory ?? 'localhost,',
    extra_vars: { ...spec.extra_vars, ...given, ...step.extra_vars },
  } as PlaybookSpec | TaskSpec;
}

function without<T extends object>(whole: T, ...fields: (keyof T)[]): Partial<T> {
  return Object.fromEntries(
    Object.entries(whole).filter(([field]) => !fields.includes(field as keyof T)),
  ) as Partial<T>;
}
