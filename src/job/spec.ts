import { z } from 'zod';
import { Inventory } from './inventory.js';
import { isName, nameRule, playbookNameOf } from './names.js';
import { defaultTtlSeconds } from './retention.js';
import { RetryPolicy } from './retry.js';
import { refusedVariable } from './variables.js';

const tenYears = 10 * 365 * 24 * 3600;
const metadataBytes = 16 * 1024;

const Name = z.string().refine(isName, { error: nameRule });

const ExtraVars = z.record(z.string(), z.unknown()).superRefine((variables, context) => {
  for (const [name, value] of Object.entries(variables)) {
    const refusal = refusedVariable(name, value);
    if (refusal !== undefined) context.addIssue({ code: 'custom', path: [name], message: refusal });
  }
});

const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.:+@ -]*$/;
const Tags = z
  .union([z.string(), z.array(z.string())])
  .transform((tags) =>
    (typeof tags === 'string' ? tags.split(',') : tags).map((tag) => tag.trim()).filter((tag) => tag !== ''),
  )
  .pipe(z.array(z.string().max(200).regex(tagPattern, 'a tag: letters, digits, _ . : + @ - and spaces')).max(200));

/** An Ansible host pattern. `@file` would read a file of the node; braces could only be a template. */
const Limit = z
  .string()
  .min(1)
  .max(10_000)
  .refine((limit) => !/[{}\p{Cc}]/u.test(limit), { error: 'a host pattern, without braces and control characters' })
  // Ansible reads a file for a part that begins with @, and finds parts where one would not look for them.
  .refine((limit) => !limit.includes('@') && !limit.startsWith('-'), {
    error: '"@file" and options are not allowed here',
  });

/** What a caller asks for with `POST /jobs`. Unknown fields are refused. */
export const JobSpec = z
  .strictObject({
    playbook: z
      .string()
      .min(1)
      .max(1000)
      .refine((playbook) => !playbook.split('/').some((part) => part === '' || part === '.'), {
        error: 'a plain path, without //, ./ or a / at its end',
      })
      .describe('A path below the playbooks folder'),
    name: Name.optional().describe(
      'Submitting it again finds the job, for as long as that is kept (`ttl`). Made if not given',
    ),
    playbook_name: Name.optional().describe("Default: the playbook's path without its extension, / as ."),
    inventory: Inventory.default('localhost,').describe(
      'A host list with a comma, a file below the inventories folder, or groups inline; localhost means the node itself',
    ),
    extra_vars: ExtraVars.default({}).describe('Data for the playbook; templates in it are not evaluated'),
    limit: Limit.optional(),
    tags: Tags.default([]),
    skip_tags: Tags.default([]),
    forks: z.int().min(1).max(1000).optional(),
    check: z.boolean().default(false),
    diff: z.boolean().default(false),
    verbosity: z.int().min(0).max(6).default(0),
    become: z.boolean().default(false),
    timeout: z
      .number()
      .positive()
      .max(tenYears)
      .optional()
      .describe('Seconds from the start after which its processes are killed'),
    retry: RetryPolicy.default({ max_attempts: 3, backoff: [30, 60], on: ['lost', 'launch'] }),
    on_node_lost: z
      .enum(['wait', 'fail', 'rerun'])
      .default('wait')
      .describe(
        'When its node stays away: wait for it; fail with `node_lost`; or run it again elsewhere, although the copy on the lost node may still run: two copies are possible',
      ),
    priority: z.int().min(1).max(5).default(3).describe('1 is served first'),
    labels: z.array(z.string().min(1).max(200)).max(50).default([]),
    when_finished: z
      .enum(['return', 'rerun', 'rerun_if_failed'])
      .default('return')
      .describe('What submitting a finished name again does'),
    workspace: Name.default('default'),
    metadata: z
      .record(z.string(), z.unknown())
      .default({})
      .refine((metadata) => JSON.stringify(metadata).length <= metadataBytes, { error: 'at most 16 KiB as JSON' }),
    ttl: z
      .number()
      .positive()
      .max(tenYears)
      .default(defaultTtlSeconds)
      .describe(
        "Seconds after its end for which the job, with its name and output, is kept. Shorter than Temporal's retention (30 days embedded), which also bounds the default",
      ),
  })
  .superRefine((spec, context) => {
    if (spec.playbook_name === undefined && !isName(playbookNameOf(spec.playbook))) {
      const message = `its path does not fit a playbook_name (${nameRule}): give playbook_name`;
      context.addIssue({ code: 'custom', path: ['playbook'], message });
    }
  });
export type JobSpec = z.output<typeof JobSpec>;

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
