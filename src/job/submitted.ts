import { z } from 'zod';
import type { Step } from './kinds/steps.js';
import { RetryPolicy } from './retry.js';
import { titleOf, type JobSpec } from './spec.js';

/** It is kept in the memo, which Temporal holds for each job and gives with every list. */
const maxBytes = 16 * 1024;

const words = z.array(z.string());

/** What is said of work, be it a job or a step of one. */
const work = {
  hosts: z.string(),
  inventory: z.string().nullable().describe('Null: groups inline'),
  extra_vars: words.describe('Their names'),
  limit: z.string(),
  tags: words,
  skip_tags: words,
  forks: z.int(),
  check: z.boolean(),
  diff: z.boolean(),
  verbosity: z.int(),
  become: z.boolean(),
  timeout: z.number(),
  retry: RetryPolicy,
  async_dir: z.string(),
  cleanup: z.boolean(),
  unreachable_after: z.number(),
  on_node_lost: z.enum(['wait', 'fail', 'rerun']),
};

const SubmittedStep = z.object({
  name: z.string(),
  kind: z.enum(['playbook', 'task']),
  title: z.string().describe('What it runs, in one line'),
  needs: words,
  on_failure: z.enum(['stop', 'continue']),
  outputs: words,
  ...z.object(work).partial().shape,
});

/** What of a spec is harmless to be seen by whoever sees the job: no values of variables, and nothing that isn't listed here. */
export const SubmittedSpec = z
  .object({
    ...work,
    steps: z.array(SubmittedStep),
    priority: z.int(),
    labels: words,
    ttl: z.number(),
  })
  .partial()
  .describe('What was submitted. What is missing was not given, or would make this longer than 16 KiB');
export type SubmittedSpec = z.infer<typeof SubmittedSpec>;

/** As much of it as fits, the shortest fields first. */
export function submittedOf(spec: JobSpec): SubmittedSpec {
  const steps = spec.kind === 'steps' ? spec.steps.map(submittedStep) : undefined;
  const shown: Record<string, unknown> = { ...spec, ...harmless(spec), steps };
  let left = maxBytes;
  const fitting = Object.keys(SubmittedSpec.shape)
    .filter((field) => shown[field] !== undefined)
    .map((field) => ({ field, bytes: new TextEncoder().encode(JSON.stringify({ [field]: shown[field] })).length }))
    .sort((one, other) => one.bytes - other.bytes)
    .filter(({ bytes }) => (left -= bytes) > 0);
  return SubmittedSpec.parse(Object.fromEntries(fitting.map(({ field }) => [field, shown[field]])));
}

function submittedStep(step: Step): z.infer<typeof SubmittedStep> {
  return SubmittedStep.parse({ ...step, ...harmless(step), title: titleOf(step) });
}

/** What is left of the fields that may hold secrets. */
function harmless({ inventory, extra_vars }: JobSpec | Step): Record<string, unknown> {
  const isInline = inventory !== undefined && typeof inventory !== 'string';
  return { inventory: isInline ? null : inventory, extra_vars: Object.keys(extra_vars) };
}
