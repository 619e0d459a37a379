import { z } from 'zod';
import { RetryPolicy } from './retry.js';

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
    adopt: z.object({ host: z.string(), ansible_job_id: z.string(), async_dir: z.string().optional() }),
    steps: z.array(SubmittedStep),
    priority: z.int(),
    labels: words,
    ttl: z.number(),
  })
  .partial()
  .describe('What was submitted. What is missing was not given, or would make this longer than 16 KiB');
export type SubmittedSpec = z.infer<typeof SubmittedSpec>;
