import type { TargetsRef } from '../../job/target-protocol.js';
import { targetMarkerOf } from '../../targets/ids.js';
import { NotEndedError } from '../../ansible/watch.js';
import { endOnHost } from '../../targets/task-on-host.js';
import type { RunInTemporal } from '../context.js';
import { cancelReason } from '../end.js';
import { wayTo, type TargetContext } from './context.js';

const namedTroubles = 5;

/**
 * Ends an attempt on all its hosts because its job was canceled.
 * @throws NotEndedError while something of it is left somewhere; Temporal repeats it
 */
export async function endTargets(
  context: TargetContext,
  ref: TargetsRef,
  asking: RunInTemporal,
  signal: AbortSignal,
): Promise<void> {
  await endEverywhere(context, ref, { cause: 'cancel', reason: await cancelReason(context, asking) }, signal);
}

/** @throws NotEndedError that names the hosts where something is left */
export async function endEverywhere(
  context: TargetContext,
  { spec, places, run_id, attempt }: TargetsRef,
  why: { cause: string; reason: string },
  signal: AbortSignal,
): Promise<void> {
  const way = await wayTo(context, spec);
  const ends = await Promise.allSettled(
    Object.entries(places).map(([host, place]) =>
      endOnHost(
        context.targets,
        { host: { ...way, host, local: place.local }, place, marker: targetMarkerOf({ host, runId: run_id, attempt }) },
        { ...why, graceMs: context.killGraceMs },
        signal,
      ),
    ),
  );
  const troubles = ends.flatMap((end) => (end.status === 'rejected' ? [(end.reason as Error).message] : []));
  if (troubles.length === 0) return;
  const more = troubles.length > namedTroubles ? `; and ${troubles.length - namedTroubles} more` : '';
  throw new NotEndedError(`${troubles.slice(0, namedTroubles).join('; ')}${more}`);
}
