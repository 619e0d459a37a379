import type { Step } from './kinds/steps.js';
import type { JobSpec } from './spec.js';
import type { SubmittedSpec } from './submitted-spec.js';
import { titleOf } from './title.js';

/** It is kept in the memo, which Temporal holds for each job and gives with every list. */
const maxBytes = 16 * 1024;

type SubmittedStep = NonNullable<SubmittedSpec['steps']>[number];
type OfJob = 'adopt' | 'steps' | 'priority' | 'labels' | 'ttl';

const ofWork: Record<Exclude<keyof SubmittedSpec, OfJob>, true> = {
  hosts: true,
  inventory: true,
  extra_vars: true,
  limit: true,
  tags: true,
  skip_tags: true,
  forks: true,
  check: true,
  diff: true,
  verbosity: true,
  become: true,
  timeout: true,
  retry: true,
  async_dir: true,
  cleanup: true,
  unreachable_after: true,
  on_node_lost: true,
};
const ofJob: Record<keyof SubmittedSpec, true> = {
  ...ofWork,
  adopt: true,
  steps: true,
  priority: true,
  labels: true,
  ttl: true,
};
const ofStep: Record<keyof SubmittedStep, true> = {
  ...ofWork,
  name: true,
  kind: true,
  title: true,
  needs: true,
  on_failure: true,
  outputs: true,
};

/** As much of it as fits, the shortest fields first. */
export function submittedOf(spec: JobSpec): SubmittedSpec {
  const steps = spec.kind === 'steps' ? spec.steps.map(submittedStep) : undefined;
  let left = maxBytes;
  const fitting = shown({ ...spec, ...harmless(spec), steps }, ofJob)
    .map(([field, value]) => ({ field, value, bytes: bytesOf(JSON.stringify({ [field]: value })) }))
    .sort((one, other) => one.bytes - other.bytes)
    .filter(({ bytes }) => (left -= bytes) > 0);
  return Object.fromEntries(fitting.map(({ field, value }) => [field, value]));
}

function submittedStep(step: Step): SubmittedStep {
  return Object.fromEntries(shown({ ...step, ...harmless(step), title: titleOf(step) }, ofStep)) as SubmittedStep;
}

function shown(whole: object, fields: Record<string, true>): [string, unknown][] {
  return Object.entries(whole).filter(([field, value]) => Object.hasOwn(fields, field) && value !== undefined);
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** What is left of the fields that may hold secrets. */
function harmless({ inventory, extra_vars }: JobSpec | Step): Record<string, unknown> {
  const isInline = inventory !== undefined && typeof inventory !== 'string';
  return { inventory: isInline ? null : inventory, extra_vars: Object.keys(extra_vars) };
}
