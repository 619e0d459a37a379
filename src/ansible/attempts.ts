import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import { createFolderOnce, namesIn, replaceDurably } from '../disk/durable.js';
import { isErrno } from '../disk/errno.js';
import { Outcome, type LeftProcess } from '../job/outcome.js';
import type { PlaybookSpec } from '../job/kinds/playbook.js';
import { playbookCommand, type AnsibleSetup } from './command.js';
import { environmentOf } from './environment.js';
import { attemptFolder, markerOf, recordOfStep, type AttemptKey } from './folders.js';
import { look, type Look } from './look.js';
import { outcomeOf, type FinalLook } from './outcome.js';
import { endProcesses, listMembers, supervise, type Claimed, type Ended } from './programs.js';
import { Cause, Plan, readLastClaim, readRecord } from './records.js';
import { tasksIn } from './tasks.js';

/** Space set aside in each attempt, so that its verdict can be written on a full disk. */
const spares = 5;
const spareBytes = 64 * 1024;

export interface AttemptsOptions extends AnsibleSetup {
  runsDir: string;
  /** From TERM to KILL. */
  killGraceMs: number;
}

/** Identifies the attempt to prepare, and what is put on record with it. */
export interface NewAttempt {
  key: AttemptKey;
  token: string;
  node: string;
  boot: string;
  spec: PlaybookSpec;
}

/** The attempts of this node: every verb may be repeated, at any time, after any crash. */
export interface Attempts {
  folderOf(key: AttemptKey): string;
  /** Makes the folder with its token, or finds the one that was made. Returns the token that holds. */
  prepare(attempt: NewAttempt): Promise<string>;
  /** Consumes the token: a detached supervisor starts Ansible, at most once. */
  start(key: AttemptKey, token: string): Promise<Claimed>;
  look(key: AttemptKey): Promise<Look>;
  /** Its living processes, by their marker. */
  members(key: AttemptKey): Promise<LeftProcess[]>;
  /** Ends it and verifies; what ended naturally before stays as it is. */
  end(key: AttemptKey, cause: 'cancel' | 'terminated' | 'timeout' | 'lost' | 'launch', reason: string): Promise<Ended>;
  /** Puts the outcome of an ended attempt on record, bounded in time and size, and frees its spare space. */
  settle(key: AttemptKey, seen: FinalLook): Promise<Outcome>;
  /** The outcome on record; undefined while there is none. */
  settled(key: AttemptKey): Promise<Outcome | undefined>;
}

export function createAttempts(options: AttemptsOptions): Attempts {
  const folderOf = (key: AttemptKey): string => attemptFolder(options.runsDir, key);

  return {
    folderOf,

    async prepare({ key, token, node, boot, spec }) {
      const folder = folderOf(key);
      const earlier = await tokenOf(folder);
      if (earlier !== undefined) return earlier;
      await removeAsides(folder);
      const { arguments: argv, files } = playbookCommand(spec, folder, options);
      const plan: Plan = {
        run_id: key.runId,
        attempt: key.attempt,
        token,
        node,
        boot,
        marker: markerOf(key),
        argv: [
          options.python,
          path.join(options.root, 'python', 'longhaul_attempt', 'run_playbook.py'),
          folder,
          markerOf(key),
          ...argv,
        ],
        cwd: options.playbooksDir,
        timeout: spec.timeout ?? null,
        grace: options.killGraceMs / 1000,
      };
      const reserve = Array.from(
        { length: spares },
        (_, index) => [`.spare.${index + 1}`, new Uint8Array(spareBytes)] as const,
      );
      const made = await createFolderOnce(folder, {
        ...Object.fromEntries(reserve),
        ...files,
        'spec.json': JSON.stringify(spec),
        ...recordOfStep(key),
        'attempt.json': JSON.stringify(plan),
        token,
      });
      // A folder without a plan holds no token that fits any more: it will be told as never started.
      return made ? token : ((await tokenOf(folder)) ?? token);
    },

    start: (key, token) =>
      supervise(options, folderOf(key), token, environmentOf(key, options.env, options.playbooksDir)),

    members: (key) => listMembers(options, folderOf(key), markerOf(key)),

    look: (key) => look(folderOf(key), (folder) => listMembers(options, folder, markerOf(key))),

    end: (key, cause, reason) =>
      endProcesses(options, {
        folder: folderOf(key),
        marker: markerOf(key),
        cause,
        reason,
        graceMs: options.killGraceMs,
      }),

    async settle(key, seen) {
      const folder = folderOf(key);
      const cause = await readRecord(folder, 'cause.json', Cause);
      const outcome = outcomeOf(seen, cause === undefined || cause === 'corrupt' ? '' : cause.reason);
      for (const name of await namesIn(folder))
        if (name.startsWith('.spare.')) await rm(path.join(folder, name), { force: true });
      await syncOutput(folder);
      const tasks = await tasksIn(folder);
      const told = tasks === null ? outcome : { ...outcome, tasks };
      await keepOutcome(folder, told);
      return told;
    },

    async settled(key) {
      const outcome = await readRecord(folderOf(key), 'outcome.json', Outcome);
      return outcome === 'corrupt' ? undefined : outcome;
    },
  };
}

/** The token that an attempt was prepared with; undefined if there is no such attempt. */
async function tokenOf(folder: string): Promise<string | undefined> {
  const plan = await readRecord(folder, 'attempt.json', Plan);
  if (plan !== 'corrupt') return plan?.token;
  if ((await readLastClaim(folder)) !== undefined) {
    throw new Error(
      `${folder}/attempt.json can't be read, and it was started; remove the folder if nothing of it runs`,
    );
  }
  // Its token is in nobody's history yet, or this would not be asked: nothing can have been started from it.
  await rm(folder, { recursive: true, force: true });
  return undefined;
}

/** What a crash left of an earlier try to make this folder. The worker is the only one that makes any (R8). */
async function removeAsides(folder: string): Promise<void> {
  const parent = path.dirname(folder);
  const ofOthers = (name: string): boolean =>
    name.startsWith(`.${path.basename(folder)}.`) && name.split('.')[2] !== String(process.pid);
  for (const name of await namesIn(parent))
    if (ofOthers(name)) await rm(path.join(parent, name), { recursive: true, force: true });
}

/** A disk that is full even now loses nothing: the same outcome follows from result.json and the claims. */
async function keepOutcome(folder: string, outcome: Outcome): Promise<void> {
  const file = path.join(folder, 'outcome.json');
  try {
    if ((await readRecord(folder, 'outcome.json', Outcome)) === 'corrupt')
      await rm(file, { recursive: true, force: true });
    await replaceDurably(file, JSON.stringify(outcome));
  } catch (error) {
    if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
  }
}

async function syncOutput(folder: string): Promise<void> {
  for (const name of ['stdout.log', 'events.jsonl']) {
    try {
      const handle = await open(path.join(folder, name), 'r+');
      await handle.sync().finally(() => handle.close());
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}
