import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { z } from 'zod';
import { Lane } from '../ansible/agent/lane.js';
import { Gathering } from './gathering.js';
import { isHere, keyOfHost, type TargetHost } from './host.js';
import {
  Cleaned,
  Ended,
  Launched,
  LaunchedJob,
  Looks,
  Prepared,
  type EndedJob,
  type Look,
  type PreparedJob,
} from './looks.js';

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

/** How a prepared attempt is started: a command by what is prepared, a module through Ansible's async. */
export type Launch = { prepared: { dir: string; token: string } } | { module: ModuleCall };

/** What is looked at: an attempt of ours with what is known of its output, or somebody else's job. */
export type LookedAt = ({ dir: string; marker: string } | { adopt: { job_id: string; async_dir: string | null } }) & {
  stdout: number;
  stderr: number;
  chunk: number;
};

export type ToEnd =
  | { dir: string; marker: string; cause: string; reason: string; grace: number }
  | { adopt: { job_id: string; async_dir: string | null }; grace: number };

export const endingModule = 'longhaul_end';

/** How often what breaks is asked until that counts as an answer. */
const enoughTimes = 4;
const pauseMs = 500;
/** The largest answer of a look, in bytes of output. */
export const lookBytes = 4 * 1024 * 1024;

/** How much is prepared or launched by one call: it has to be done within its time limit on a busy host. */
const together = { items: 25, bytes: 256 * 1024 };
/** Of one host. */
const endsAtOnce = 4;
/** A launch through Ansible's async takes seconds of computing here. */
const modulesAtOnce = Math.min(24, 4 + 2 * os.availableParallelism());

/** Our modules on target hosts, one call for any number of jobs of a host. */
export class TargetCalls {
  private readonly preparing = new Gathering<NewTask, Answer<PreparedJob>>(together, isUnreachable);
  private readonly launching = new Gathering<{ dir: string; token: string }, Answer<LaunchedJob>>(
    together,
    isUnreachable,
  );
  private readonly ending = new Gathering<ToEnd, Answer<EndedJob>>(together, isUnreachable);
  private readonly modules = new Lane(modulesAtOnce);

  constructor(private readonly runner: ModuleRunner) {}

  prepare(host: TargetHost, task: NewTask, base: string | null, signal: AbortSignal): Promise<Answer<PreparedJob>> {
    const place = JSON.stringify([keyOfHost(host), base]);
    const ask = () =>
      this.preparing.ask(
        place,
        task,
        async (jobs, signal) =>
          forEach(jobs, await this.call(host, 'longhaul_prepare', { jobs, base }, Prepared, signal)),
        signal,
      );
    return againWhile(({ status }) => status === 'refused', ask, signal);
  }

  /** @param total bytes of output that the answer may have */
  look(host: TargetHost, jobs: LookedAt[], total: number, signal: AbortSignal): Promise<Answer<Look[]>> {
    return this.call(host, 'longhaul_look', { jobs, total }, Looks, signal);
  }

  end(host: TargetHost, job: ToEnd, signal: AbortSignal): Promise<Answer<EndedJob>> {
    // Several calls at a time: each takes as long as the job that resists most.
    const place = JSON.stringify([keyOfHost(host), Math.floor(Math.random() * endsAtOnce)]);
    return this.ending.ask(
      place,
      job,
      async (jobs, signal) => forEach(jobs, await this.call(host, endingModule, { jobs }, Ended, signal)),
      signal,
    );
  }

  clean(
    host: TargetHost,
    dirs: string[],
    kept: number,
    signal: AbortSignal,
  ): Promise<Answer<z.infer<typeof Cleaned>['jobs']>> {
    return this.call(host, 'longhaul_clean', { dirs, kept }, Cleaned, signal);
  }

  /** Launches what was prepared. What the host's records say counts, not this answer. */
  launch(host: TargetHost, launch: Launch, signal: AbortSignal): Promise<Answer<LaunchedJob>> {
    const ask = () =>
      'prepared' in launch
        ? this.launchCommand(host, launch.prepared, signal)
        : this.launchModule(host, launch.module, signal);
    return againWhile(({ status }) => status === 'refused', ask, signal);
  }

  private launchCommand(
    host: TargetHost,
    prepared: { dir: string; token: string },
    signal: AbortSignal,
  ): Promise<Answer<LaunchedJob>> {
    return this.launching.ask(
      // A folder that answers nothing holds up no other.
      JSON.stringify([keyOfHost(host), path.posix.dirname(prepared.dir)]),
      prepared,
      async (jobs, signal) => forEach(jobs, await this.call(host, 'longhaul_launch', { jobs }, Launched, signal)),
      signal,
    );
  }

  private async launchModule(host: TargetHost, call: ModuleCall, signal: AbortSignal): Promise<Answer<LaunchedJob>> {
    const answer = await this.modules.through(() => this.runner.run(host, call, signal), signal);
    if (answer.status === 'unreachable') return answer;
    const failed = answer.status === 'failed';
    const said = LaunchedJob.safeParse({ failed, ...answer.result });
    if (said.success) return { status: 'ok', value: said.data };
    // Without a word of our wrapper, it may not have been reached.
    if (failed) return { status: 'refused', reason: messageOf(answer.result) };
    const msg = `${call.module} ran at once, and not through Ansible's async; what it answered was not kept`;
    return { status: 'ok', value: { failed: true, msg, longhaul: { claim: 'absent' } } };
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

function isUnreachable({ status }: Answer<unknown>): boolean {
  return status === 'unreachable';
}

/** The answer to a call, for each of those that it was made for. */
function forEach<T>(asked: unknown[], answer: Answer<T[]>): Answer<T>[] {
  if (answer.status !== 'ok') return asked.map(() => answer);
  return answer.value.map((value) => ({ status: 'ok', value }));
}

/** What a module or Ansible said of a failure, in one line. */
export function messageOf({ msg, module_stderr: complaint, module_stdout: said }: Record<string, unknown>): string {
  const texts = [msg, complaint, said].filter((text): text is string => typeof text === 'string' && text.trim() !== '');
  return (texts.join(': ') || 'it failed without a message').replace(/\s+/g, ' ').trim().slice(0, 1000);
}
