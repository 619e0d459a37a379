import type { Attendance, AwayNode, NodeState, ToldJob } from '../job/node-protocol.js';
import type { Outcome, TargetEnd } from '../job/outcome.js';
import type { AttemptRef, LostPlacement, Placement, PlaceRequest } from '../job/protocol.js';
import type { Ending } from '../job/step-outcome.js';
import type { PrepareRequest, TargetsPlacement, TargetsRef } from '../job/target-protocol.js';
import type { AdmissionRequest } from '../job/tenant-protocol.js';

/** Served from the shared queue, by whichever node has a free slot. */
export interface PlacementActivities {
  /** Reserves a slot and an attempt folder with a token, or finds those that a run had before its Reset. Starts nothing. */
  place(request: PlaceRequest): Promise<Placement | LostPlacement>;
}

/** Served from the queue of the node where the attempt lives. */
export interface NodeActivities {
  /** Attaches to the attempt if it was started, else starts it; returns how it ended. */
  run(ref: AttemptRef): Promise<Outcome>;
  /** Ends the attempt because its job was canceled; returns when nothing of it is left. */
  end(ref: AttemptRef): Promise<void>;
  /** Tells, for as long as this worker serves the node, how the node is; returns how it was last. */
  attend(attendance: Attendance): Promise<NodeState>;
}

/** Served by every node, and from the queue of a node for hosts that only it reaches. */
export interface TargetActivities {
  /** Makes the attempt folders with their tokens on hosts. Starts nothing. */
  prepareTargets(request: PrepareRequest): Promise<TargetsPlacement>;
  /** Attaches to what was started on the hosts, else starts it; returns how it ended on each. */
  runTargets(ref: TargetsRef): Promise<Record<string, TargetEnd>>;
  /** Ends it on all hosts because the job was canceled; returns when nothing of it is left. */
  endTargets(ref: TargetsRef): Promise<void>;
}

/** Calls of Temporal that a workflow can't make by itself. Local activities, of whichever worker has the workflow. */
export interface EngineActivities {
  /** Asks the workflow of the tenant, which is started if it isn't there, to admit a job. */
  requestAdmission(tenant: string, request: AdmissionRequest): Promise<void>;
  /** Those of these workflow IDs that have no open run. */
  closedJobs(workflowIds: string[]): Promise<string[]>;
  /**
   * How a step stands that doesn't tell its job by itself: null while it has not closed.
   * @param outputs what it has to hand on
   */
  lookAtStep(workflowId: string, outputs: string[]): Promise<{ run_id: string; ending: Ending | null }>;
  /** Whether a run of a job has started this step as another run than the given one. */
  knowsOtherStart(jobWorkflowId: string, step: string, runId: string): Promise<boolean>;
  /** Why a run was canceled, as whoever asked for it said. */
  cancelReason(run: { workflowId: string; runId: string }): Promise<string>;
}

/** What jobs are told of the absence of their node. Local activities as well. */
export interface AbsenceActivities {
  /** Tells the jobs of a node that it is silent; which ones. None if this node is the one. */
  tellSilence(away: AwayNode): Promise<ToldJob[]>;
  /** Tells jobs that their node is back. */
  tellReturn(node: string, jobs: ToldJob[]): Promise<void>;
  /** Tells the jobs of a node that asked for it that it has stayed away. Nothing if this node is the one. */
  giveUpJobs(away: AwayNode): Promise<void>;
}
