import type { Lane } from '../../ansible/agent/lane.js';
import { timesTold } from '../../job/progress.js';
import type { RunHeartbeat } from '../../job/protocol.js';
import type { TargetsRef } from '../../job/target-protocol.js';
import { targetMarkerOf } from '../../targets/ids.js';
import { NotEndedError } from '../../ansible/watch.js';
import { isLocal } from '../../targets/host.js';
import { endOnHost, UnclearEndError } from '../../targets/task-on-host.js';
import type { RunInTemporal } from '../context.js';
import { cancelReason } from '../end.js';
import type { Lifeline } from '../lifeline.js';
import { wayTo, type TargetContext } from './context.js';
import { placesToEnd } from './known-ends.js';

const namedTroubles = 5;
/** They have room in a heartbeat. */
const mostEnded = 2_000;

/**
 * Ends an attempt on all its hosts because its job was canceled.
 * @throws NotEndedError while something of it is left somewhere; Temporal repeats it
 */
export async function endTargets(
  context: TargetContext,
  ref: TargetsRef,
  asking: RunInTemporal,
  lifeline: Lifeline,
  last: RunHeartbeat | undefined,
): Promise<void> {
  const why = { cause: 'cancel', reason: await cancelReason(context, asking) };
  // Those of others are not to be asked again and again while one is out of reach.
  const ended = new Set(last?.ended);
  const left = Object.entries(await placesToEnd(context, ref)).filter(([host]) => !ended.has(host));
  const tell = (hosts: string[]): void => {
    const since = (host: string): number => Date.parse(last?.unclear?.[host] ?? '') || Date.now();
    const unclear = timesTold(hosts.map((host) => [host, since(host)]));
    const known = { unclear, ended: [...ended].slice(0, mostEnded) };
    lifeline.tell({ started_at: null, tasks_done: 0, message: null, ...known });
  };
  const rest = { ...ref, places: Object.fromEntries(left) };
  await endEverywhere(context, rest, why, lifeline.signal, { tell, ended: (host) => ended.add(host) });
}

/**
 * @param options.tell is told of hosts of which it isn't known whether anything is left
 * @param options.ended is told of each host where nothing is left
 * @param options.lane where each host waits for its turn
 * @throws NotEndedError that names the hosts where something is left
 */
export async function endEverywhere(
  context: TargetContext,
  { spec, places, run_id, attempt }: TargetsRef,
  why: { cause: string; reason: string },
  signal: AbortSignal,
  { tell, ended, lane }: { tell?: (hosts: string[]) => void; ended?: (host: string) => void; lane?: Lane } = {},
): Promise<void> {
  const way = await wayTo(context, spec);
  const ends = await Promise.allSettled(
    Object.entries(places).map(([host, place]) => {
      const marker = targetMarkerOf({ host, runId: run_id, attempt });
      const job = { host: { ...way, host, local: isLocal(place) }, place, marker };
      const end = async (): Promise<void> => {
        await endOnHost(context.targets, job, { ...why, graceMs: context.killGraceMs }, signal);
        ended?.(host);
      };
      return lane === undefined ? end() : lane.through(end, signal);
    }),
  );
  const reasons = ends.map((end) => (end.status === 'rejected' ? (end.reason as Error) : null));
  const troubles = reasons.flatMap((reason) => reason?.message ?? []);
  if (troubles.length === 0) return;
  tell?.(Object.keys(places).filter((_, index) => reasons[index] instanceof UnclearEndError));
  const more = troubles.length > namedTroubles ? `; and ${troubles.length - namedTroubles} more` : '';
  throw new NotEndedError(`${troubles.slice(0, namedTroubles).join('; ')}${more}`);
}
