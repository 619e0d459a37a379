import { z } from 'zod';
import { Inventory } from '../inventory.js';
import { isName, nameRule } from '../names.js';
import { defaultTtlSeconds } from '../retention.js';
import { refusedVariable } from '../variables.js';

/** The fields that kinds of jobs share. */

export const tenYears = 10 * 365 * 24 * 3600;
const metadataBytes = 16 * 1024;

export const Name = z.string().refine(isName, { error: nameRule });

const ExtraVars = z.record(z.string(), z.unknown()).superRefine((variables, context) => {
  for (const [name, value] of Object.entries(variables)) {
    const refusal = refusedVariable(name, value);
    if (refusal !== undefined) context.addIssue({ code: 'custom', path: [name], message: refusal });
  }
});

/** Which hosts work is done on, and as whom. */
export const where = {
  inventory: Inventory.default('localhost,').describe(
    'A host list with a comma, a file below the inventories folder, or groups inline; localhost means the node itself',
  ),
  extra_vars: ExtraVars.default({}).describe('Data for Ansible; templates in it are not evaluated'),
  become: z.boolean().default(false),
};

/** How long work may take. */
export const timeout = z
  .number()
  .positive()
  .max(tenYears)
  .optional()
  .describe('Seconds from the start after which its processes are killed');

export const onNodeLost = z
  .enum(['wait', 'fail', 'rerun'])
  .default('wait')
  .describe(
    'When its node stays away: wait for it; fail with `node_lost`; or run it again elsewhere, although the copy on the lost node may still run: two copies are possible',
  );

/** How a job is known, ordered and kept, whatever it does. */
export const job = {
  name: Name.optional().describe(
    'Submitting it again finds the job, for as long as that is kept (`ttl`). Made if not given',
  ),
  playbook_name: Name.optional().describe(
    "With `name` it makes the job_id. Default: the playbook's path without its extension, / as .; for other kinds the kind",
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
};
