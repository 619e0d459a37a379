import { Context } from '@temporalio/activity';
import type { RunHeartbeat } from '../job/protocol.js';
import type { NodeContext } from './context.js';
import { end } from './end.js';
import type { NodeActivities, PlacementActivities, TargetActivities } from './index.js';
import type { Presence } from './presence.js';
import { lastTold, withLifeline, type Lifeline } from './lifeline.js';
import { Milestones } from './milestones.js';
import { place } from './place.js';
import { run } from './run.js';
import type { TargetContext } from './targets/context.js';
import { endTargets } from './targets/end.js';
import { prepareTargets } from './targets/prepare.js';
import { runTargets } from './targets/run.js';

const preparingHeartbeatMs = 20_000;
/** How often it is looked whether there is a milestone to tell. */
const milestonesMs = 2_000;

/** The activities that any node can serve. */
export function createPlacementActivities(context: NodeContext): PlacementActivities {
  return { place: (request) => place(context, request, currentRun().runId) };
}

/**
 * The activities of one node.
 * @param sweepSoon called when an activity is not asked for any more: its workflow was terminated, or has given it up
 */
export function createNodeActivities(context: NodeContext, presence: Presence, sweepSoon: () => void): NodeActivities {
  const watched = watching(context.heartbeatTimeoutMs / 4, sweepSoon);
  return {
    run: (ref) => {
      const milestones = new Milestones(context, ref, currentRun(), lastTold());
      return watched((lifeline) =>
        run(context, ref, {
          tell: (details) => lifeline.tell(milestones.note(details)),
          signal: lifeline.signal,
        }),
      );
    },
    end: (ref) => watched(() => end(context, ref, currentRun())),
    attend: () => presence.attend(),
  };
}

/**
 * The activities for target hosts.
 * @param sweepSoon called when an attempt has ended there, or is not asked for any more
 */
export function createTargetActivities(context: TargetContext, sweepSoon: () => void): TargetActivities {
  // Many are watched at the same time, and each heartbeat costs Temporal: as few as its timeout allows.
  const watched = watching(context.heartbeatTimeoutMs * 0.6, sweepSoon);
  const preparing = watching(preparingHeartbeatMs, () => undefined);
  return {
    prepareTargets: (request) =>
      preparing((lifeline) => prepareTargets(context, request, currentRun().runId, lifeline)),
    runTargets: async (ref) => {
      const last = lastTold();
      const milestones = new Milestones(context, ref, currentRun(), last);
      const since = ref.since === undefined ? Context.current().info.scheduledTimestampMs : Date.parse(ref.since);
      const results = await watched(async (lifeline) => {
        let latest: RunHeartbeat | undefined;
        const tell = (details: RunHeartbeat): void => {
          latest = details;
          lifeline.tell(milestones.note(details));
        };
        // Hosts tell only what changes; a milestone is due all the same.
        const again = setInterval(() => latest !== undefined && tell(latest), milestonesMs);
        try {
          return await runTargets(
            context,
            ref,
            { tell, signal: lifeline.signal },
            { last, since, asking: currentRun() },
          );
        } finally {
          clearInterval(again);
        }
      });
      sweepSoon();
      return results;
    },
    endTargets(ref) {
      const last = lastTold();
      return watched((lifeline) => endTargets(context, ref, currentRun(), lifeline, last));
    },
  };
}

/** Runs the work of an activity with a lifeline. */
function watching(
  intervalMs: number,
  notAskedFor: () => void,
): <T>(work: (lifeline: Lifeline) => Promise<T>) => Promise<T> {
  return async (work) => {
    const current = Context.current();
    try {
      return await withLifeline(intervalMs, work);
    } finally {
      const { notFound = false, cancelRequested = false } = current.cancellationDetails ?? {};
      if (notFound || cancelRequested) notAskedFor();
    }
  };
}

/** The run that waits for the activity; after a Reset not the one that the evidence is kept by. */
function currentRun(): { workflowId: string; runId: string } {
  const { workflowExecution } = Context.current().info;
  if (workflowExecution === undefined) throw new Error('activities of a node belong to a workflow');
  return workflowExecution;
}
