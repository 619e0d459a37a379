import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { Stats, LeftProcess } from '../job/outcome.js';
import { namesIn } from '../disk/durable.js';
import { isErrno } from '../disk/errno.js';
import { ProcessIdentity } from './identity.js';

/** The records of an attempt folder; python/longhaul_attempt/evidence.py tells who writes which. */

export const Plan = z.object({
  run_id: z.string(),
  attempt: z.int(),
  token: z.string(),
  node: z.string(),
  boot: z.string(),
  marker: z.string(),
  argv: z.array(z.string()).min(1),
  cwd: z.string(),
  timeout: z.number().nullable(),
  grace: z.number(),
});
export type Plan = z.infer<typeof Plan>;

export const Claim = z.union([
  z.object({ void: z.literal(true), cause: z.string().catch('lost'), reason: z.string().catch('') }),
  z.object({ void: z.literal(false), supervisor: ProcessIdentity, ansible: ProcessIdentity }),
]);
export type Claim = z.infer<typeof Claim>;

/** Seconds since 1970 that make a date. */
const Time = z.number().min(0).max(8.64e12);

export const Started = z.object({ at: Time, monotonic_ns: z.number() });
export type Started = z.infer<typeof Started>;

/** The first failure that cost a host the rest of its play. */
const TaskFailure = z.object({
  event: z.enum(['failed', 'unreachable']),
  task: z.string(),
  host: z.string(),
  message: z.string().nullable(),
});
export type TaskFailure = z.infer<typeof TaskFailure>;

/** The verdict and its time are needed; what only adds to them may be unreadable. evidence.py asks for the same. */
export const Result = z.object({
  rc: z.int().nullable(),
  signal: z.int().nullable(),
  cause: z.enum(['cancel', 'terminated', 'timeout']).nullable(),
  at: Time,
  stats: Stats.catch({}),
  leftovers: z.array(LeftProcess).catch([]),
  outputs: z.record(z.string(), z.unknown()).catch({}),
  outputs_omitted: z.record(z.string(), z.string()).catch({}),
  storage: z.object({ lost_bytes: z.int(), reason: z.string().nullable() }).nullable().catch(null),
  launch: z.string().optional().catch(undefined),
  lost: z.string().nullable().optional().catch(undefined),
  failure: TaskFailure.nullable().optional().catch(undefined),
});
export type Result = z.infer<typeof Result>;

export const Cause = z.object({ cause: z.enum(['cancel', 'terminated', 'timeout']), reason: z.string().catch('') });

/**
 * Reads a record: undefined if there is none, `corrupt` if it can't be read as one (empty, half-written, of another shape).
 */
export async function readRecord<S extends z.ZodType>(
  folder: string,
  name: string,
  schema: S,
): Promise<z.output<S> | 'corrupt' | undefined> {
  let text: string;
  try {
    text = await readFile(path.join(folder, name), 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    if (isErrno(error, 'EISDIR', 'EIO', 'EACCES', 'ELOOP')) return 'corrupt';
    throw error;
  }
  try {
    const read = schema.safeParse(JSON.parse(text));
    return read.success ? read.data : 'corrupt';
  } catch (error) {
    if (error instanceof SyntaxError) return 'corrupt';
    throw error;
  }
}

/** The claim that counts: the last one. */
export async function readLastClaim(folder: string): Promise<{ number: number; claim: Claim | 'corrupt' } | undefined> {
  const numbers = (await namesIn(folder))
    .map((name) => /^claim\.(\d+)$/.exec(name)?.[1])
    .filter((digits) => digits !== undefined);
  if (numbers.length === 0) return undefined;
  const number = Math.max(...numbers.map(Number));
  return { number, claim: (await readRecord(folder, `claim.${number}`, Claim)) ?? 'corrupt' };
}
