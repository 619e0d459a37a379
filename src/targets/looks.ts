import { z } from 'zod';
import { LeftProcess } from '../job/outcome.js';

/** What the modules of python/target_modules answer, for each job that they are asked about. */

/** New bytes of what a job prints. */
const Part = z.object({ size: z.int(), from: z.int(), data: z.base64() });

/** Of what left neither a process nor a result. */
const Verdict = z.enum(['lost', 'orphaned']);

const Result = z.object({
  rc: z.int().nullable(),
  signal: z.int().nullable(),
  cause: z.enum(['cancel', 'terminated', 'timeout']).nullable(),
  at: z.number(),
  failed: z.boolean().optional().catch(undefined),
  changed: z.boolean().nullable().optional().catch(undefined),
  msg: z.string().nullable().optional().catch(undefined),
  lost: z.string().nullable().optional().catch(undefined),
  verdict: Verdict.optional().catch(undefined),
  launch: z.string().optional().catch(undefined),
  storage: z.object({ lost_bytes: z.int(), reason: z.string().nullable() }).nullable().optional().catch(undefined),
  leftovers: z.array(LeftProcess).optional().catch(undefined),
  stdout_bytes: z.int().optional().catch(undefined),
  stderr_bytes: z.int().optional().catch(undefined),
});
export type TaskResult = z.infer<typeof Result>;

const times = { started_at: z.number().nullable(), job_id: z.string().nullable() };
/** Whether it can't be seen from there how it stands. */
const unclear = { unknown: z.boolean().optional() };
const output = { stdout: Part.optional(), stderr: Part.optional() };

const Look = z.discriminatedUnion('state', [
  z.object({ state: z.literal('absent'), machine: z.string().nullish() }),
  z.object({ state: z.literal('ready') }),
  z.object({ state: z.literal('void'), cause: z.string(), reason: z.string() }),
  z.object({ state: z.literal('claimed'), ...unclear, message: z.string().nullable().optional() }),
  z.object({ state: z.literal('never_began') }),
  z.object({
    state: z.literal('running'),
    ...times,
    ...unclear,
    /** Seconds, by its host's clock. */
    running_for: z.number().nullable().optional(),
    supervised: z.boolean().optional(),
    message: z.string().nullable(),
    ...output,
  }),
  z.object({ state: z.literal('finished'), ...times, result: Result, ...output }),
  z.object({ state: z.literal('gone'), ...times, kind: Verdict, why: z.string(), ...output }),
]);
export type Look = z.infer<typeof Look> | { state: 'unreadable'; why: string };

/** What can't be understood of one job says nothing of the others. */
export const Looks = z.object({
  jobs: z.array(
    z.unknown().transform((answer): Look => {
      const look = Look.safeParse(answer);
      return look.success ? look.data : { state: 'unreadable', why: z.prettifyError(look.error) };
    }),
  ),
});

const PreparedJob = z.union([
  z.object({ dir: z.string(), token: z.string(), machine: z.string().nullish() }),
  z.object({ error: z.object({ kind: z.enum(['launch', 'storage']), msg: z.string() }) }),
]);
export type PreparedJob = z.infer<typeof PreparedJob>;
export const Prepared = z.object({ jobs: z.array(PreparedJob) });

/** What our wrapper says of a start; without a failure it is started, now or before. */
export const LaunchedJob = z.object({
  failed: z.boolean(),
  msg: z.string().optional(),
  longhaul: z.object({ claim: z.string() }),
});
export type LaunchedJob = z.infer<typeof LaunchedJob>;
export const Launched = z.object({ jobs: z.array(LaunchedJob) });

const EndedJob = z.object({
  left: z.array(LeftProcess),
  unknown: z.string().nullable(),
  machine: z.string().nullish(),
});
export type EndedJob = z.infer<typeof EndedJob>;
export const Ended = z.object({ jobs: z.array(EndedJob) });

export const Cleaned = z.object({ jobs: z.array(z.object({ cleaned: z.boolean(), reason: z.string().nullable() })) });
