import { z } from 'zod';
import { Inventory } from '../inventory.js';
import { refusedVariable } from '../variables.js';
import { withKind } from './by-field.js';
import { job, Name, where } from './fields.js';
import { playbookWork } from './playbook.js';
import { requireOneWork, taskWork } from './task.js';

const maxSteps = 100;
const maxOutputs = 100;
const maxOutputsOfTask = 1;
const fieldsOfWork = ['playbook', 'command', 'task'] as const;

/** What a playbook reads by these names is Ansible's or Jinja's, or would be no more. */
const namesOfOthers = new Set(
  `group_names groups inventory_dir inventory_file omit play_hosts playbook_dir role_name role_names role_path
  cycler dict joiner lipsum lookup namespace now q query range undef
  False None True and else false if in is none not or true`.split(/\s+/),
);

const OutputName = z.string().superRefine((name, context) => {
  // What runs in the next step must not choose that step's connections.
  const refusal =
    name.startsWith('ansible_') || namesOfOthers.has(name)
      ? `"${name}" is refused: an output may not be one of Ansible's own variables`
      : refusedVariable(name, null);
  if (refusal !== undefined) context.addIssue({ code: 'custom', message: refusal });
});

const inventory = Inventory.optional();
const part = {
  name: Name.describe('What the others, and URLs, call it'),
  needs: z.array(Name).max(maxSteps).default([]).describe('The steps that have to end before it starts'),
  on_failure: z
    .enum(['stop', 'continue'])
    .default('stop')
    .describe(
      '`stop`: nothing further starts, and the job fails when what runs has ended. `continue`: what needs it starts nevertheless',
    ),
  outputs: z
    .array(OutputName)
    .max(maxOutputs)
    .default([])
    .describe(
      'Variables that the steps which need it get; it fails without them. Of a playbook, what it sets with `set_stats`; of a task one variable, a mapping of each host where it was successful to its stdout there',
    ),
  inventory: inventory.describe("The job's if not given"),
};

/** A step of a job: a playbook, or a command or a module on hosts. */
export const Step = z.preprocess(
  withKind(fieldsOfWork),
  z.discriminatedUnion(
    'kind',
    [
      z.strictObject({ kind: z.literal('playbook').default('playbook'), ...playbookWork, ...part }),
      z
        .strictObject({ kind: z.literal('task').default('task'), ...taskWork, ...part })
        .superRefine(requireOneWork)
        .superRefine(refuseFurtherOutputs),
    ],
    { error: `give one of ${fieldsOfWork.join(', ')}` },
  ),
);
export type Step = z.output<typeof Step>;

/** Several pieces of work, each of which may need others. */
export const StepsSpec = z.strictObject({
  kind: z.literal('steps').default('steps'),
  steps: z
    .array(Step)
    .min(1)
    .max(maxSteps)
    .superRefine(requireGraph)
    .describe('Those that need nothing, or nothing more, run side by side'),
  inventory: inventory.describe('Of steps that have none. Default: `localhost,`'),
  extra_vars: where.extra_vars.describe("Data for all steps; a step's own win"),
  ...job,
});
export type StepsSpec = z.output<typeof StepsSpec>;

function refuseFurtherOutputs({ outputs }: { outputs: readonly string[] }, context: z.RefinementCtx): void {
  if (outputs.length <= maxOutputsOfTask) return;
  context.addIssue({
    code: 'custom',
    path: ['outputs'],
    message: 'a task has one output, what it printed on each host',
  });
}

function requireGraph(steps: Step[], context: z.RefinementCtx): void {
  const refuse = (path: (string | number)[], message: string): void =>
    context.addIssue({ code: 'custom', path, message });
  const byName = new Map<string, Step>();
  for (const [index, step] of steps.entries()) {
    if (byName.has(step.name)) refuse([index, 'name'], `another step is called "${step.name}"`);
    else byName.set(step.name, step);
  }
  for (const [index, { needs }] of steps.entries())
    for (const [at, need] of needs.entries()) {
      if (!byName.has(need)) refuse([index, 'needs', at], `there is no step "${need}"`);
      else if (needs.indexOf(need) < at) refuse([index, 'needs', at], `"${need}" is there twice`);
    }
  const cycle = cycleIn(byName);
  if (cycle !== undefined)
    refuse([steps.findIndex(({ name }) => name === cycle[0]), 'needs'], `it needs itself: ${cycle.join(' needs ')}`);
  for (const [index, step] of steps.entries()) {
    const twice = outputFromTwo(step, byName);
    if (twice !== undefined) refuse([index, 'needs'], twice);
  }
}

/** The names along a cycle, the first one at its end again; undefined if there is none. */
function cycleIn(steps: ReadonlyMap<string, Step>): string[] | undefined {
  const left = new Map([...steps].map(([name, { needs }]) => [name, needs.filter((need) => steps.has(need))]));
  for (;;) {
    const free = [...left].filter(([, needs]) => needs.every((need) => !left.has(need))).map(([name]) => name);
    if (free.length === 0) break;
    for (const name of free) left.delete(name);
  }
  const path: string[] = [];
  let [name] = left.keys();
  while (name !== undefined && !path.includes(name)) {
    path.push(name);
    name = left.get(name)?.find((need) => left.has(need));
  }
  return name === undefined ? undefined : [...path.slice(path.indexOf(name)), name];
}

/** Of two outputs of one name it could not be told which one a step gets. */
function outputFromTwo({ needs }: Step, steps: ReadonlyMap<string, Step>): string | undefined {
  const from = new Map<string, string>();
  for (const need of new Set(needs))
    for (const output of new Set(steps.get(need)?.outputs)) {
      const other = from.get(output);
      if (other !== undefined) return `"${other}" and "${need}" both have the output "${output}"`;
      from.set(output, need);
    }
  return undefined;
}
