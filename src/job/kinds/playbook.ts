import { z } from 'zod';
import { isName, nameRule, playbookNameOf } from '../names.js';
import { RetryPolicy } from '../retry.js';
import { job, onNodeLost, timeout, where } from './fields.js';

const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.:+@ -]*$/;
const Tags = z
  .union([z.string(), z.array(z.string())])
  .transform((tags) =>
    (typeof tags === 'string' ? tags.split(',') : tags).map((tag) => tag.trim()).filter((tag) => tag !== ''),
  )
  .pipe(z.array(z.string().max(200).regex(tagPattern, 'a tag: letters, digits, _ . : + @ - and spaces')).max(200));

/** An Ansible host pattern. `@file` would read a file of the node; braces could only be a template. */
export const HostPattern = z
  .string()
  .min(1)
  .max(10_000)
  .refine((limit) => !/[{}\p{Cc}]/u.test(limit), { error: 'a host pattern, without braces and control characters' })
  // Ansible reads a file for a part that begins with @, and finds parts where one would not look for them.
  .refine((limit) => !limit.includes('@') && !limit.startsWith('-'), {
    error: '"@file" and options are not allowed here',
  });

/** What a playbook is run with. */
export const playbookWork = {
  playbook: z
    .string()
    .min(1)
    .max(1000)
    .refine((playbook) => !playbook.split('/').some((part) => part === '' || part === '.'), {
      error: 'a plain path, without //, ./ or a / at its end',
    })
    .describe('A path below the playbooks folder'),
  ...where,
  limit: HostPattern.optional(),
  tags: Tags.default([]),
  skip_tags: Tags.default([]),
  forks: z.int().min(1).max(1000).optional(),
  check: z.boolean().default(false),
  diff: z.boolean().default(false),
  verbosity: z.int().min(0).max(6).default(0),
  timeout,
  retry: RetryPolicy.default({ max_attempts: 3, backoff: [30, 60], on: ['lost', 'launch'] }),
  on_node_lost: onNodeLost,
};

/** A playbook on a node. */
export const PlaybookSpec = z
  .strictObject({ kind: z.literal('playbook').default('playbook'), ...playbookWork, ...job })
  .superRefine((spec, context) => {
    if (spec.playbook_name === undefined && !isName(playbookNameOf(spec.playbook))) {
      const message = `its path does not fit a playbook_name (${nameRule}): give playbook_name`;
      context.addIssue({ code: 'custom', path: ['playbook'], message });
    }
  });
export type PlaybookSpec = z.output<typeof PlaybookSpec>;
