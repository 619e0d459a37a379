import { z } from 'zod';
import { Failure } from './failure.js';

/** Per-host counters, as Ansible's recap has them. */
export const HostStats = z.object({
  ok: z.int(),
  changed: z.int(),
  unreachable: z.int(),
  failures: z.int(),
  skipped: z.int(),
  rescued: z.int(),
  ignored: z.int(),
});
export type HostStats = z.infer<typeof HostStats>;

export const Stats = z.record(z.string(), HostStats);
export type Stats = z.infer<typeof Stats>;

/** A process that is left of an attempt. */
export const LeftProcess = z.object({
  pid: z.int(),
  command: z.string(),
  host: z.string().optional().describe('Of a task: the host it is on'),
});
export type LeftProcess = z.infer<typeof LeftProcess>;

/** How a task ended on a host, or how it stands there. Times are RFC 3339. */
export const TargetResult = z.object({
  status: z.enum(['pending', 'running', 'successful', 'failed', 'canceled']),
  failure: Failure.nullable(),
  rc: z.int().nullable().describe('-15 for what was ended by signal 15, as Ansible has it'),
  changed: z.boolean().nullable(),
  ansible_job_id: z.string().nullable().describe("Of Ansible's async job on the host"),
  message: z.string().nullable().describe('What a module said, or what is unusual about it'),
  started_at: z.string().nullable(),
  finished_at: z.string().nullable(),
  leftovers: z
    .array(LeftProcess)
    .optional()
    .describe('Processes that it left running there (daemons, say); they were not killed. Absent if there are none'),
});
export type TargetResult = z.infer<typeof TargetResult>;

/** How a task ended on a host, and what it printed there where that is to be handed on. */
export const TargetEnd = TargetResult.extend({
  printed: z.union([z.object({ text: z.string() }), z.object({ missing: z.string() })]).optional(),
});
export type TargetEnd = z.infer<typeof TargetEnd>;
/** The whole text without the line breaks at its end, or why that can't be had. */
export type Printed = NonNullable<TargetEnd['printed']>;

/** How far an attempt came, in results of one task on one host each. */
const Tasks = z.object({
  done: z.int(),
  total: z.int().nullable().describe('With those that were known to come'),
});
export type Tasks = z.infer<typeof Tasks>;

/** Values by their names. */
export const Outputs = z
  .record(z.string(), z.unknown())
  .describe(
    'What a playbook set with `set_stats`, or the declared outputs of a step (of a task: its stdout, by host); up to 64 KiB',
  );
export type Outputs = z.infer<typeof Outputs>;

export const OmittedOutputs = z
  .record(z.string(), z.string())
  .describe('Outputs that are not there although they were set, and why; absent if there are none');

const ended = {
  rc: z.int().nullable(),
  stats: Stats,
  targets: z.record(z.string(), TargetResult).optional().describe('By host, of what runs on target hosts'),
  targets_omitted: z.int().optional().describe('How many hosts are not among `targets`, which have a limit'),
  outputs: Outputs.optional(),
  outputs_omitted: OmittedOutputs.optional(),
  tasks: Tasks.optional().describe('Absent where nobody could tell'),
  started_at: z.string().nullable().describe('RFC 3339; null if it never started'),
  finished_at: z.string(),
  leftovers: z
    .array(LeftProcess)
    .describe('Processes that it left running (daemons, async jobs); they were not killed'),
};

/** How an attempt, and with the last one the job, ended. */
export const Outcome = z.discriminatedUnion('status', [
  z.object({ status: z.literal('successful'), ...ended }),
  z.object({ status: z.literal('failed'), failure: Failure, ...ended }),
  z.object({ status: z.literal('canceled'), reason: z.string(), ...ended }),
]);
export type Outcome = z.infer<typeof Outcome>;
