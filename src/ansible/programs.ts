import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { LeftProcess } from '../job/outcome.js';

/** Calls of python/longhaul_attempt, where processes are started and ended. */
export interface Programs {
  root: string;
  python: string;
}

export const claimStates = ['taken', 'held', 'started', 'void', 'absent', 'failed'] as const;

const Claimed = z.object({ claim: z.enum(claimStates), reason: z.string().default('') });
const Ended = z.object({ left: z.array(LeftProcess), unknown: z.string().nullable() });
const Members = z.object({ members: z.array(LeftProcess) });

export type Claimed = z.infer<typeof Claimed>;
/** What an ending left alive, or could not look at. Empty and null: verified gone. */
export type Ended = z.infer<typeof Ended>;

/** Detaches a supervisor for an attempt, with the environment that Ansible gets. Answers as soon as it is known whether it may start. */
export async function supervise(
  programs: Programs,
  folder: string,
  token: string,
  env: Record<string, string>,
): Promise<Claimed> {
  return call(programs, ['supervise', folder, token], Claimed, env);
}

/** Ends an attempt: cause on record, TERM, KILL after `graceMs`, verified. May be repeated. */
export async function endProcesses(
  programs: Programs,
  {
    folder,
    marker,
    cause,
    reason,
    graceMs,
  }: { folder: string; marker: string; cause: string; reason: string; graceMs: number },
): Promise<Ended> {
  return call(programs, ['end', folder, marker, cause, String(graceMs / 1000), reason], Ended);
}

/** The living processes of an attempt. */
export async function listMembers(programs: Programs, folder: string, marker: string): Promise<LeftProcess[]> {
  return (await call(programs, ['members', folder, marker], Members)).members;
}

/** Runs one verb in a session of its own and reads its one line; a supervisor that it leaves behind holds no pipe of ours. */
async function call<S extends z.ZodType>(
  { root, python }: Programs,
  verb: string[],
  answer: S,
  env: Record<string, string> = {},
): Promise<z.output<S>> {
  const program = path.join(root, 'python', 'longhaul_attempt');
  // -S: site-packages are not needed to supervise, and not to be waited for.
  const child = spawn(python, ['-I', '-S', program, ...verb], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  const complaint: Buffer[] = [];
  child.stderr.on('data', (part: Buffer) => complaint.push(part));
  const line = await new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('close', (code, signal) => {
      const said = Buffer.concat(complaint).toString().trim().slice(-2000);
      reject(new Error(`${verb[0]} of an attempt ended without an answer (${signal ?? `exit ${code}`}): ${said}`));
    });
  });
  child.stdout.destroy();
  child.stderr.destroy();
  return answer.parse(JSON.parse(line));
}
