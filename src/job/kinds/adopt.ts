import { z } from 'zod';
import { RetryPolicy } from '../retry.js';
import { isHostName } from '../variables.js';
import { job, timeout, where } from './fields.js';
import { unreachableAfter } from './task.js';

/** The form in which Ansible makes the ids of its async jobs: a random part, and the pid of what launched it. */
const jobIdPattern = /^j?\d{1,20}\.\d{1,10}$/;

const Adopted = z.strictObject({
  host: z.string().refine(isHostName, { error: 'a host name' }).describe('An inventory host'),
  ansible_job_id: z.string().regex(jobIdPattern, 'an ansible_job_id, such as j123456789012.4711'),
  async_dir: z
    .string()
    .max(1000)
    .regex(/^(\/|~)[^\0\n]*$/, 'an absolute path, or one below ~')
    .optional()
    .describe("Where its file is on the host. Default: Ansible's own, ~/.ansible_async"),
});

/** An async job that somebody else started, to be watched. */
export const AdoptSpec = z.strictObject({
  kind: z.literal('adopt').default('adopt'),
  adopt: Adopted,
  ...where,
  timeout: timeout.describe('Seconds from the adoption after which it is `timed_out`; it is not killed'),
  unreachable_after: unreachableAfter,
  retry: RetryPolicy.default({ max_attempts: 1, backoff: [30, 60], on: [] }),
  ...job,
});
export type AdoptSpec = z.output<typeof AdoptSpec>;
