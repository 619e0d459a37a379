import { Context } from '@temporalio/activity';
import type { NodeContext } from './context.js';
import { end } from './end.js';
import type { NodeActivities, PlacementActivities } from './index.js';
import { withLifeline } from './lifeline.js';
import { place } from './place.js';
import { run } from './run.js';

/** The activities that any node can serve. */
export function createPlacementActivities(context: NodeContext): PlacementActivities {
  return { place: (request) => place(context, request) };
}

/**
 * The activities of one node.
 * @param sweepSoon called when Temporal no longer knows of an activity: its workflow may have been terminated
 */
export function createNodeActivities(context: NodeContext, sweepSoon: () => void): NodeActivities {
  const watched = async <T>(work: Parameters<typeof withLifeline<T>>[1]): Promise<T> => {
    const current = Context.current();
    try {
      return await withLifeline(context.heartbeatTimeoutMs, work);
    } finally {
      if (current.cancellationDetails?.notFound === true) sweepSoon();
    }
  };
  return {
    run: (ref) => watched((lifeline) => run(context, ref, lifeline)),
    end: (ref) => watched(() => end(context, ref)),
  };
}
