import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { Attempts } from '../ansible/attempts.js';
import type { AttemptKey } from '../ansible/folders.js';
import { parseWorkflowId } from '../job/names.js';
import type { Durations } from '../node/durations.js';
import type { Slots, SlotHolder } from '../node/slots.js';
import type { RunFolders } from '../store/run-folders.js';
import type { TargetLedger } from '../targets/ledger.js';

/** What the activities of a node work with. */
export interface NodeContext {
  nodeId: string;
  attempts: Attempts;
  slots: Slots;
  folders: RunFolders;
  /** What it watches on target hosts. */
  ledger: TargetLedger;
  client: Client;
  log: Logger;
  heartbeatTimeoutMs: number;
  retryIntervalMs: number;
  /** Between the two looks before the verdict `lost`. */
  confirmIntervalMs: number;
  killGraceMs: number;
  durations: Durations;
  /** @throws Error when there is too little space on the disk to take an attempt */
  requireSpace: () => Promise<void>;
}

/** A run as Temporal knows it. */
export interface RunInTemporal {
  workflowId: string;
  runId: string;
}

/** Identifies an attempt; its run is the original one where a Reset has put another in its place. */
export interface AttemptInTemporal {
  workflow_id: string;
  run_id: string;
  attempt: number;
}

/** Where an attempt's evidence is. @throws Error for a workflow ID that is not ours */
export function keyOf({ workflow_id, run_id, attempt }: AttemptInTemporal): AttemptKey {
  const name = parseWorkflowId(workflow_id);
  if (name === undefined) throw new Error(`"${workflow_id}" is not the workflow ID of a job`);
  return { ...name, runId: run_id, attempt };
}

/** Who holds the slot of an attempt on this node. */
export function holderOf(node: string, { workflow_id, run_id, attempt }: AttemptInTemporal): SlotHolder {
  return { node, workflow_id, run_id, attempt };
}
