import { z } from 'zod';
import { AdoptSpec } from './kinds/adopt.js';
import { withKind } from './kinds/by-field.js';
import { PlaybookSpec } from './kinds/playbook.js';
import { StepsSpec } from './kinds/steps.js';
import { TaskSpec } from './kinds/task.js';
import { playbookNameOf } from './names.js';

const fields = ['playbook', 'command', 'task', 'adopt', 'steps'] as const;
const oneOfThem = `give one of ${fields.join(', ')}`;

/** What a caller asks for with `POST /jobs`. Unknown fields are refused. */
export const JobSpec = z.preprocess(
  withKind(fields),
  z.discriminatedUnion('kind', [PlaybookSpec, TaskSpec, AdoptSpec, StepsSpec], { error: oneOfThem }),
);
export type JobSpec = z.output<typeof JobSpec>;

export const jobKinds = ['playbook', 'task', 'adopt', 'steps'] as const satisfies JobSpec['kind'][];
export type JobKind = JobSpec['kind'];

/** The playbook_name of a job that was given none. */
export function defaultPlaybookName(spec: JobSpec): string {
  return spec.kind === 'playbook' ? playbookNameOf(spec.playbook) : spec.kind;
}

/** Fields that may differ when a name is submitted again. */
const incidental = [
  'when_finished',
  'priority',
  'metadata',
  'ttl',
  'workspace',
  'labels',
  'retry',
  'name',
  'playbook_name',
] as const;

/**
 * The fields in which two specs of one name differ, sorted; empty if they ask for the same work.
 * Specs written by an earlier version are compared as this version reads them.
 */
export function differingFields(one: JobSpec, other: JobSpec): string[] {
  const [left, right] = [essence(one), essence(other)];
  const fields = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...fields].filter((field) => canonical(left[field]) !== canonical(right[field])).sort();
}

function essence(spec: JobSpec): Record<string, unknown> {
  const read = JobSpec.safeParse(spec);
  const fields = Object.entries(read.success ? read.data : spec);
  return Object.fromEntries(fields.filter(([field]) => !(incidental as readonly string[]).includes(field)));
}

/** JSON with sorted keys; undefined for undefined. */
function canonical(value: unknown): string | undefined {
  const sorted = (_key: string, part: unknown): unknown =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part;
  return JSON.stringify(value, sorted);
}
