import { setTimeout as delay } from 'node:timers/promises';
import type { z } from 'zod';
import { isHere, type TargetHost } from './host.js';
import { Cleaned, Ended, Looks, Prepared, type EndedJob, type Look, type PreparedJob } from './looks.js';

/** What a host answered, or why there is no answer: it could not be reached, or refused to run the module. */
export type Answer<T> =
  { status: 'ok'; value: T } | { status: 'unreachable'; reason: string } | { status: 'refused'; reason: string };

/** What a module is to do on a host. */
export interface ModuleCall {
  module: string;
  args: Record<string, unknown>;
  /** Seconds; with it the module is launched through Ansible's async, and the answer is that of the launch. */
  async?: number;
  asyncDir?: string;
  environment?: Record<string, string>;
}

/** What a module answered. */
export type ModuleAnswer =
  { status: 'ok' | 'failed'; result: Record<string, unknown> } | { status: 'unreachable'; reason: string };

/** Ansible, as far as it is needed here. */
export interface ModuleRunner {
  /** @throws Error when it can't be told whether the module ran; every module may be repeated */
  run(host: TargetHost, call: ModuleCall, signal: AbortSignal): Promise<ModuleAnswer>;
  /** Runs one of our modules on this machine, as ourselves. */
  here(call: Pick<ModuleCall, 'module' | 'args'>, signal: AbortSignal): Promise<ModuleAnswer>;
}

/** An attempt that is to be prepared on a host. */
export interface NewTask {
  id: string;
  marker: string;
  token: string;
  host: string;
  run_id: string;
  attempt: number;
  argv: string[] | null;
  shell: string | null;
  timeout: number | null;
  grace: number;
  kept: number;
}

/** What is looked at: an attempt of ours with what is known of its output, or somebody else's job. */
export type LookedAt =
  | { dir: string; marker: string; stdout: number; stderr: number; chunk: number }
  | { adopt: { job_id: string; async_dir: string | null } };

export type ToEnd =
  | { dir: string; marker: string; cause: string; reason: string; grace: number }
  | { adopt: { job_id: string; async_dir: string | null }; grace: number };

/** How often what breaks is asked until that counts as an answer. */
const enoughTimes = 4;
const pauseMs = 500;
/** The largest answer of a look, in bytes of output. */
export const lookBytes = 4 * 1024 * 1024;

/** Our modules on target hosts, one call for any number of jobs of a host. */
export class TargetCalls {
  constructor(private readonly runner: ModuleRunner) {}

  prepare(host: TargetHost, jobs: NewTask[], base: string | null, signal: AbortSignal): Promise<Answer<PreparedJob[]>> {
    const ask = () => this.call(host, 'longhaul_prepare', { jobs, base }, Prepared, signal);
    return againWhile(({ status }) => status === 'refused', ask, signal);
  }

  look(host: TargetHost, jobs: LookedAt[], signal: AbortSignal): Promise<Answer<Look[]>> {
    return this.call(host, 'longhaul_look', { jobs, total: lookBytes }, Looks, signal);
  }

  end(host: TargetHost, jobs: ToEnd[], signal: AbortSignal): Promise<Answer<EndedJob[]>> {
    return this.call(host, 'longhaul_end', { jobs }, Ended, signal);
  }

  clean(
    host: TargetHost,
    dirs: string[],
    kept: number,
    signal: AbortSignal,
  ): Promise<Answer<z.infer<typeof Cleaned>['jobs']>> {
    return this.call(host, 'longhaul_clean', { dirs, kept }, Cleaned, signal);
  }

  /** Launches a module through Ansible's async. What the host's records say counts, not this answer. */
  launch(host: TargetHost, call: ModuleCall, signal: AbortSignal): Promise<ModuleAnswer> {
    // What our wrapper has refused is refused; without a word of it, it may not have been reached.
    const isBroken = (answer: ModuleAnswer): boolean => answer.status === 'failed' && !('longhaul' in answer.result);
    return againWhile(isBroken, () => this.runner.run(host, call, signal), signal);
  }

  private async call<T>(
    host: TargetHost,
    module: string,
    args: Record<string, unknown>,
    schema: z.ZodType<{ jobs: T[] }>,
    signal: AbortSignal,
  ): Promise<Answer<T[]>> {
    const answer = isHere(host)
      ? await this.runner.here({ module, args }, signal)
      : await this.runner.run(host, { module, args }, signal);
    if (answer.status === 'unreachable') return answer;
    if (answer.status === 'failed') return { status: 'refused', reason: messageOf(answer.result) };
    return { status: 'ok', value: schema.parse(answer.result).jobs };
  }
}

/**
 * A connection that is cut in the middle, as by kill -9 of ssh, looks like a failed module to Ansible. What would end a job is asked
 * again; nothing is started twice by that.
 */
async function againWhile<T>(isBroken: (answer: T) => boolean, ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let times = 1; ; times++) {
    const answer = await ask();
    if (!isBroken(answer) || times === enoughTimes) return answer;
    await delay(times * pauseMs, undefined, { signal });
  }
}

/** What a module or Ansible said of a failure, in one line. */
export function messageOf({ msg, module_stderr: complaint, module_stdout: said }: Record<string, unknown>): string {
  const texts = [msg, complaint, said].filter((text): text is string => typeof text === 'string' && text.trim() !== '');
  return (texts.join(': ') || 'it failed without a message').replace(/\s+/g, ' ').trim().slice(0, 1000);
}
