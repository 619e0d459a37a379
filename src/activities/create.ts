import { Context } from '@temporalio/activity';
import type { NodeContext } from './context.js';
import { end } from './end.js';
import type { NodeActivities, PlacementActivities } from './index.js';
import type { Presence } from './presence.js';
import { lastTold, withLifeline } from './lifeline.js';
import { Milestones } from './milestones.js';
import { place } from './place.js';
import { run } from './run.js';

/** The activities that any node can serve. */
export function createPlacementActivities(context: NodeContext): PlacementActivities {
  return { place: (request) => place(context, request, currentRun().runId) };
}

/**
 * The activities of one node.
 * @param sweepSoon called when an activity is not asked for any more: its workflow was terminated, or has given it up
 */
export function createNodeActivities(context: NodeContext, presence: Presence, sweepSoon: () => void): NodeActivities {
  const watched = async <T>(work: Parameters<typeof withLifeline<T>>[1]): Promise<T> => {
    const current = Context.current();
    try {
      return await withLifeline(context.heartbeatTimeoutMs, work);
    } finally {
      const { notFound = false, cancelRequested = false } = current.cancellationDetails ?? {};
      if (notFound || cancelRequested) sweepSoon();
    }
  };
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

/** The run that waits for the activity; after a Reset not the one that the evidence is kept by. */
function currentRun(): { workflowId: string; runId: string } {
  const { workflowExecution } = Context.current().info;
  if (workflowExecution === undefined) throw new Error('activities of a node belong to a workflow');
  return workflowExecution;
}
