import { z } from 'zod';
import type { FailureKind } from '../failure.js';
import { RetryPolicy } from '../retry.js';
import { job, onNodeLost, tenYears, timeout, where } from './fields.js';
import { HostPattern } from './playbook.js';

const argument = z
  .string()
  .max(100_000)
  .refine((text) => !text.includes('\0'), { error: 'has a NUL' });

const Command = z
  .union([argument.min(1), z.array(argument).min(1).max(1000)])
  .describe('A line for /bin/sh on the hosts, or a list of arguments, which no shell sees');

const Module = z
  .strictObject({
    module: z
      .string()
      .regex(/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*){0,4}$/, 'the name of a module, such as ansible.builtin.apt')
      .max(200),
    args: z.record(z.string(), z.unknown()).default({}).describe('Its arguments; templates in them are not evaluated'),
  })
  .describe('One module with its arguments');

/** A path on a target host. */
const TargetFolder = z
  .string()
  .max(1000)
  .regex(/^(\/|~\/|~$)[^\0\n]*$/, 'an absolute path, or one below ~')
  .refine((folder) => !folder.split('/').includes('..'), { error: 'a path without ..' });

export const unreachableAfter = z
  .number()
  .positive()
  .max(tenYears)
  .default(24 * 3600)
  .describe('Seconds without contact after which a host is given up as `unreachable`');

/** What failed so may run on: another attempt would run beside it. */
const mayRunOn: readonly FailureKind[] = ['unreachable', 'node_lost'];

const TaskRetry = RetryPolicy.refine(({ on }) => !on.some((kind) => mayRunOn.includes(kind)), {
  path: ['on'],
  error: `a task that ended as ${mayRunOn.join(' or ')} may run on, so it is not tried again`,
});

/** What is run on target hosts. */
export const taskWork = {
  command: Command.optional(),
  task: Module.optional(),
  hosts: HostPattern.default('all').describe('A pattern of hosts of the inventory'),
  ...where,
  async_dir: TargetFolder.optional().describe(
    'Where the evidence is kept on the hosts. Default: below the home of the user that it runs as',
  ),
  cleanup: z
    .boolean()
    .default(true)
    .describe('Whether the files on the hosts are removed at the end; what was printed is kept with the job'),
  timeout,
  unreachable_after: unreachableAfter,
  retry: TaskRetry.default({ max_attempts: 1, backoff: [30, 60], on: ['lost', 'launch'] }),
  on_node_lost: onNodeLost,
};

/** A command or a module on hosts, through Ansible's own async. */
export const TaskSpec = z
  .strictObject({ kind: z.literal('task').default('task'), ...taskWork, ...job })
  .superRefine(requireOneWork);
export type TaskSpec = z.output<typeof TaskSpec>;

/** Refuses both a command and a module, and neither. */
export function requireOneWork(
  { command, task }: { command?: unknown; task?: unknown },
  context: z.RefinementCtx,
): void {
  if ((command === undefined) !== (task === undefined)) return;
  context.addIssue({
    code: 'custom',
    path: [command === undefined ? 'command' : 'task'],
    message: 'give one of command and task',
  });
}
