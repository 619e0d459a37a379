import path from 'node:path';
import { makeFolder, replaceDurably } from '../../disk/durable.js';
import { recordOfStep } from '../../ansible/folders.js';
import { readRecord } from '../../ansible/records.js';
import { TargetEnd, type TargetResult } from '../../job/outcome.js';
import { boundedPrinted, mostOutputBytes, withoutPrinted } from '../../job/printed.js';
import { isGivenUp } from '../../job/target-outcome.js';
import { mostEndedHosts, notStarted, targetsTold, timesTold } from '../../job/progress.js';
import type { RunHeartbeat } from '../../job/protocol.js';
import type { TargetPlace, TargetsRef, TargetSpec } from '../../job/target-protocol.js';
import type { Launch } from '../../targets/calls.js';
import { targetIdOf, targetMarkerOf } from '../../targets/ids.js';
import { isLocal } from '../../targets/host.js';
import { HostOutput } from '../../targets/output.js';
import { withLastError } from '../../targets/results.js';
import { runOnHost, type HostTask, type Standing } from '../../targets/task-on-host.js';
import { keyOf, type RunInTemporal } from '../context.js';
import type { Lifeline } from '../lifeline.js';
import { filesOf, wayTo, type TargetContext } from './context.js';

/** Of all hosts together, about; and of each one at least. */
const textBytes = 250_000;
const shortestText = 60;
const mostLeftovers = 200;
/** Ansible needs a limit; ours are kept on the host by whoever started it there. */
const longestSeconds = 10 * 365 * 86_400;

/**
 * Brings an attempt on its hosts from wherever it stands to its end. What it printed is on this node's disk then. May be repeated, and
 * be called by several workers at once.
 * @param last what an earlier worker told last
 * @param since when it was first asked for, ms since 1970
 * @param asking the run that asks, and has given up what is left behind
 */
export async function runTargets(
  context: TargetContext,
  ref: TargetsRef,
  lifeline: Lifeline,
  { last, since, asking }: { last: RunHeartbeat | undefined; since: number; asking: RunInTemporal },
): Promise<Record<string, TargetEnd>> {
  const watch = async (): Promise<Record<string, TargetEnd>> => {
    await keepSpec(context, ref);
    const { left_behind: leftBehind } = ref;
    if (leftBehind !== undefined) await context.ledger.markGivenUp({ ...ref, places: leftBehind }, asking.runId);
    const before = (host: string): Standing => standingBefore(last, host, ref.known?.[host]);
    const standings = new Map(Object.keys(ref.places).map((host) => [host, before(host)]));
    const observe = (host: string) => (standing: Standing) => {
      standings.set(host, standing);
      lifeline.tell(heartbeatOf(standings, Object.keys(ref.places).length));
    };
    const ended = await Promise.all(
      Object.entries(ref.places).map(async ([host, place]) => {
        const one = { host, place, before: before(host), since };
        const end = await runOne(context, ref, one, observe(host), lifeline.signal);
        observe(host)({ result: withoutPrinted(end), unreachableSince: null, unclearSince: null });
        return [host, end] as const;
      }),
    );
    context.log.info({ ...keyOf(ref), hosts: ended.length }, 'an attempt on target hosts has ended');
    return boundedPrinted(Object.fromEntries(ended.map(([host, end]) => [host, shortened(end, ended.length)])));
  };
  // What lives where nobody could look any more is ended by the sweep, once that can be reached (R5).
  return context.ledger.while(ref, watch, (ended) => !Object.values(ended).some(isGivenUp));
}

/** As an earlier worker told, of this activity or of the one in whose place it is. */
function standingBefore(
  last: RunHeartbeat | undefined,
  host: string,
  known: Partial<TargetResult> | undefined,
): Standing {
  return {
    result: { ...notStarted, ...known, ...last?.targets?.[host] },
    unreachableSince: Date.parse(last?.unreachable?.[host] ?? '') || null,
    unclearSince: Date.parse(last?.unclear?.[host] ?? '') || null,
  };
}

/** What all hosts say has a place in Temporal's history; the whole is in each one's file. */
function shortened(result: TargetEnd, hosts: number): TargetEnd {
  const length = Math.max(shortestText, Math.floor(textBytes / hosts));
  const { message, failure, leftovers } = result;
  return {
    ...result,
    ...(leftovers !== undefined && { leftovers: leftovers.slice(0, Math.ceil(mostLeftovers / hosts)) }),
    message: message?.slice(0, length) ?? null,
    failure: failure === null ? null : { ...failure, message: failure.message.slice(0, length) },
  };
}

async function runOne(
  context: TargetContext,
  ref: TargetsRef,
  { host, place, before, since }: Pick<HostTask, 'before' | 'since'> & { host: string; place: TargetPlace },
  observe: (standing: Standing) => void,
  signal: AbortSignal,
): Promise<TargetEnd> {
  const files = filesOf(context, ref, host);
  const known = await readRecord(files.folder, 'result.json', TargetEnd);
  if (known !== undefined && known !== 'corrupt') return known;
  const which = { host, runId: ref.run_id, attempt: ref.attempt };
  const output = await HostOutput.open(files);
  const task: HostTask = {
    host: { ...(await wayTo(context, ref.spec)), host, local: isLocal(place) },
    place,
    marker: targetMarkerOf(which),
    launch: 'dir' in place && ref.only_former !== true ? launchOf(ref.spec, place, targetIdOf(which)) : null,
    timeout: ref.spec.timeout ?? null,
    unreachableAfterMs: ref.spec.unreachable_after * 1000,
    before,
    since,
    output,
  };
  const ended = await runOnHost(context.targets, task, observe, signal);
  const isHandedOn = ref.hands_on === true && ended.status === 'successful';
  const result: TargetEnd = {
    ...withLastError(ended, await output.lastError()),
    ...(isHandedOn && { printed: await output.printed(mostOutputBytes) }),
  };
  await output.sync();
  await replaceDurably(files.result, JSON.stringify(result));
  return result;
}

function launchOf(spec: TargetSpec, { dir, token }: { dir: string; token: string }, id: string): Launch | null {
  if (spec.kind !== 'task') return null;
  if (spec.task === undefined) return { prepared: { dir, token } };
  const { module, args } = spec.task;
  const environment = { LONGHAUL_TASK: id, LONGHAUL_TOKEN: token };
  return { module: { module, args, async: longestSeconds, asyncDir: dir, environment } };
}

/** For the clean-up, which goes by what it finds in the folder. */
async function keepSpec({ attempts }: TargetContext, ref: TargetsRef): Promise<void> {
  const key = keyOf(ref);
  const folder = attempts.folderOf(key);
  await makeFolder(folder);
  const records = { 'spec.json': JSON.stringify(ref.spec), ...recordOfStep(key) };
  for (const [name, content] of Object.entries(records)) await replaceDurably(path.join(folder, name), content);
}

function heartbeatOf(standings: Map<string, Standing>, hosts: number): RunHeartbeat {
  const all = [...standings.entries()];
  const done = all.filter(([, { result }]) => result.finished_at !== null).length;
  const odd = all.find(([, { result }]) => result.finished_at === null && result.message !== null);
  const starts = all.flatMap(([, { result }]) => result.started_at ?? []).sort();
  return {
    started_at: starts[0] ?? null,
    percent: Math.min(99, Math.floor((done / hosts) * 100)),
    tasks_done: done,
    tasks_total: hosts,
    message: odd === undefined ? null : `${odd[0]}: ${odd[1].result.message}`,
    unusual: odd !== undefined,
    targets: targetsTold(Object.fromEntries(all.map(([host, { result }]) => [host, result])), mostEndedHosts),
    unreachable: timesTold(all.map(([host, { unreachableSince }]) => [host, unreachableSince])),
    unclear: timesTold(all.map(([host, { unclearSince }]) => [host, unclearSince])),
  };
}
