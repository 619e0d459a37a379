import { setMaxListeners } from 'node:events';
import type { WorkflowExecutionDescription } from '@temporalio/client';
import { Lane } from '../../ansible/agent/lane.js';
import type { JobMemo } from '../../job/protocol.js';
import type { TargetsRef } from '../../job/target-protocol.js';
import { isLocal, keyOfHost, type TargetHost } from '../../targets/host.js';
import type { LedgerEntry } from '../../targets/ledger.js';
import { keyOf } from '../context.js';
import { isOpen } from '../engine.js';
import { runOf } from '../sweep.js';
import { wayTo, type TargetContext } from './context.js';
import { endEverywhere } from './end.js';
import { placesToEnd } from './known-ends.js';
import { keptSeconds } from './prepare.js';

/** So many hosts at a time; looks at others have the same way. */
const lane = new Lane(8);
/** What has had no turn then, has it in another sweep: hosts that don't answer must not keep others waiting. */
const roundMs = 120_000;

/** The folders on a host that can go. */
interface Leftovers {
  host: TargetHost;
  dirs: { dir: string; entry: LedgerEntry }[];
}

/**
 * Looks through what this node has watched on target hosts. What nobody waits for any more is ended there (R5); the files of what has
 * ended are removed.
 */
export async function sweepTargets(context: TargetContext, ending: AbortSignal): Promise<void> {
  const signal = inTime(ending);
  const over: LedgerEntry[] = [];
  // What an activity of this worker watches, Temporal tells it itself.
  const swept = shuffled(await context.ledger.left()).map(async (entry) => {
    try {
      if (await isOver(context, entry, signal)) over.push(entry);
    } catch (error) {
      if (ending.aborted) return;
      context.log.error(
        { err: error, ...keyOf(entry) },
        'an attempt on target hosts could not be swept; the next sweep tries again',
      );
    }
  });
  await Promise.all(swept);
  await cleanUp(context, shuffled(over), inTime(ending));
  if (ending.aborted) return;
  await context.targets.inventories.removeUnused(async () => {
    for (const { spec } of await context.ledger.all()) await wayTo(context, spec);
  });
}

/**
 * Whether an attempt is over and its job is closed, or has given it up; ends it if nobody waits for it. Of what has ended by itself that
 * changes nothing. What somebody else has started is left as it is.
 */
async function isOver(context: TargetContext, entry: LedgerEntry, signal: AbortSignal): Promise<boolean> {
  const description = await runOf(context, entry);
  const memo = (description?.memo ?? {}) as Partial<JobMemo>;
  const isWaitedFor = description !== undefined && isOpen(description) && !hasMovedOn(memo, entry);
  if (isWaitedFor && entry.given_up_by !== description.runId) return false;
  if (entry.ended || entry.spec.kind === 'adopt') return true;
  // Its records on hosts go after this time, too.
  if (description === undefined && (await context.ledger.isOlder(entry, keptSeconds))) return true;
  const by = description?.runId ?? entry.given_up_by;
  // Deleted, or Temporal's database is another one: what lives is not ours to judge.
  if (by === undefined) return false;
  const marked = { ...entry, given_up_by: by };
  if (by !== entry.given_up_by) await context.ledger.markGivenUp(marked, by);
  const places = await placesToEnd(context, entry);
  for (const host of entry.ended_on ?? []) Reflect.deleteProperty(places, host);
  const why = { cause: 'terminated', reason: whyOf(description, memo) };
  const endedOn: string[] = [];
  const rest = { ...entry, places: Object.fromEntries(shuffled(Object.entries(places))) };
  try {
    await endEverywhere(context, rest, why, signal, { lane, ended: (host) => endedOn.push(host) });
  } catch (error) {
    await context.ledger.markEndedOn(marked, endedOn);
    throw error;
  }
  context.log.warn(keyOf(entry), 'an attempt on target hosts that nobody waits for has ended');
  await context.ledger.markEnded(entry);
  return true;
}

function inTime(ending: AbortSignal): AbortSignal {
  const signal = AbortSignal.any([ending, AbortSignal.timeout(roundMs)]);
  setMaxListeners(0, signal);
  return signal;
}

/** Another order each time, so that nobody is always the last. */
function shuffled<T>(all: T[]): T[] {
  return all
    .map((one) => ({ one, rank: Math.random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ one }) => one);
}

/** Whether its run has an outcome of the attempt, and so waits for it no more. */
function hasMovedOn({ attempts = [] }: Partial<JobMemo>, { attempt }: TargetsRef): boolean {
  return attempts.some((record) => record.attempt === attempt);
}

function whyOf(description: WorkflowExecutionDescription | undefined, { outcome }: Partial<JobMemo>): string {
  if (description === undefined) return 'its job had been given up';
  if (isOpen(description)) return 'its workflow has gone on without it';
  if (outcome !== undefined) return 'its job had been given up';
  return `its workflow was closed in Temporal (${description.status.name.toLowerCase()})`;
}

/** One call for all that can go from a host; where it can't be reached, it goes by itself when it has expired, and isn't asked for then. */
async function cleanUp(context: TargetContext, over: LedgerEntry[], signal: AbortSignal): Promise<void> {
  const { ledger } = context;
  const { calls } = context.targets;
  const left = new Set<LedgerEntry>();
  const cleanHost = async ({ host, dirs }: Leftovers): Promise<void> => {
    const paths = dirs.map(({ dir }) => dir);
    try {
      const answer = await lane.through(() => calls.clean(host, paths, keptSeconds, signal), signal);
      if (answer.status === 'refused') throw new Error(answer.reason);
      const isClean = (index: number): boolean => answer.status === 'ok' && answer.value[index]?.cleaned === true;
      for (const [index, { entry }] of dirs.entries()) if (!isClean(index)) left.add(entry);
    } catch (error) {
      context.log.warn(
        { err: error, host: host.host },
        'files on a host could not be removed; the next sweep tries again',
      );
      for (const { entry } of dirs) left.add(entry);
    }
  };
  await Promise.all([...(await leftoversOf(context, over)).values()].map(cleanHost));
  for (const entry of over)
    if (!left.has(entry) || (await ledger.isOlder(entry, keptSeconds))) await ledger.remove(entry);
}

async function leftoversOf(context: TargetContext, over: LedgerEntry[]): Promise<Map<string, Leftovers>> {
  const leftovers = new Map<string, Leftovers>();
  for (const entry of over) {
    if (entry.spec.kind !== 'task' || !entry.spec.cleanup) continue;
    const way = await wayTo(context, entry.spec);
    for (const [name, place] of Object.entries(entry.places)) {
      if (!('dir' in place)) continue;
      const host = { ...way, host: name, local: isLocal(place) };
      const ofHost = leftovers.get(keyOfHost(host)) ?? { host, dirs: [] };
      ofHost.dirs.push({ dir: place.dir, entry });
      leftovers.set(keyOfHost(host), ofHost);
    }
  }
  return leftovers;
}
