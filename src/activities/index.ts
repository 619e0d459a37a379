import type { Outcome } from '../job/outcome.js';
import type { AttemptRef, Placement, PlaceRequest } from '../job/protocol.js';

/** Served from the shared queue, by whichever node has a free slot. */
export interface PlacementActivities {
  /** Reserves a slot and an attempt folder with a token. Starts nothing. */
  place(request: PlaceRequest): Promise<Placement>;
}

/** Served from the queue of the node where the attempt lives. */
export interface NodeActivities {
  /** Attaches to the attempt if it was started, else starts it; returns how it ended. */
  run(ref: AttemptRef): Promise<Outcome>;
  /** Ends the attempt because its job was canceled; returns when nothing of it is left. */
  end(ref: AttemptRef): Promise<void>;
}
