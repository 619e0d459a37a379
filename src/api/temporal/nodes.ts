import {
  decodeFromPayloadsAtIndex,
  decodeMapFromPayloads,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import { optionalTsToDate } from '@temporalio/common/lib/time.js';
import type { temporal } from '@temporalio/proto';
import type { Fleet } from '../../job/evidence.js';
import { nodeWorkflowId, nodeWorkflowType, type NodeMemo, type NodeState } from '../../job/node-protocol.js';
import { all, equals } from '../../job/visibility.js';
import { grpc, hasGrpcCode, type Temporal } from './connection.js';
import { SharedCalls } from './shared-calls.js';

type PendingActivity = temporal.api.workflow.v1.IPendingActivityInfo;
type Description = temporal.api.workflowservice.v1.IDescribeWorkflowExecutionResponse;

/** How long what was heard of a node answers further questions. */
const freshMs = 1_000;

/** A node as it was last heard of. */
export interface SeenNode {
  node: string;
  host: string;
  live: boolean;
  /** RFC 3339; null if it was never heard of. */
  lastSeen: string | null;
  /** As last heard. */
  state: NodeState | null;
}

/** The nodes that Temporal knows of, by the workflows that stand for them. */
export class Nodes {
  readonly #calls = new SharedCalls<SeenNode | undefined>();
  #listed: { at: number; nodes: Promise<SeenNode[]> } | undefined;

  constructor(private readonly temporal: Temporal) {}

  /** A node as it is now; undefined if there never was one of this name. */
  see(node: string): Promise<SeenNode | undefined> {
    return this.#calls.get(node, () => describeNode(this.temporal, node));
  }

  /** All nodes, at most a second old. */
  async list(): Promise<SeenNode[]> {
    if (this.#listed === undefined || Date.now() - this.#listed.at > freshMs) {
      const nodes = listNodes(this.temporal);
      this.#listed = { at: Date.now(), nodes };
      nodes.catch(() => (this.#listed = undefined));
    }
    return this.#listed.nodes;
  }

  /** The slots of all live nodes. */
  async fleet(): Promise<Fleet> {
    const live = (await this.list()).filter((node) => node.live);
    const sum = (part: 'slots' | 'taken'): number => live.reduce((total, { state }) => total + (state?.[part] ?? 0), 0);
    return { nodes: live.length, slots: sum('slots'), taken: sum('taken') };
  }
}

async function listNodes(engine: Temporal): Promise<SeenNode[]> {
  const { namespace } = engine;
  const query = all(equals('WorkflowType', nodeWorkflowType), equals('ExecutionStatus', 'Running'));
  const { executions } = await engine.call((service) =>
    service.listWorkflowExecutions({ namespace, query, pageSize: 1000 }),
  );
  const prefix = nodeWorkflowId('');
  const names = executions.map(({ execution }) => execution?.workflowId?.slice(prefix.length) ?? '').sort();
  const seen = await Promise.all(names.map((name) => describeNode(engine, name)));
  return seen.filter((node) => node !== undefined);
}

async function describeNode(engine: Temporal, node: string): Promise<SeenNode | undefined> {
  const { namespace } = engine;
  try {
    const description = await engine.call((service) =>
      service.describeWorkflowExecution({ namespace, execution: { workflowId: nodeWorkflowId(node) } }),
    );
    return await seenNode(engine, node, description);
  } catch (error) {
    if (hasGrpcCode(error, grpc.NOT_FOUND)) return undefined;
    throw error;
  }
}

async function seenNode(engine: Temporal, node: string, description: Description): Promise<SeenNode> {
  const fields = description.workflowExecutionInfo?.memo?.fields;
  const { attendance, last } = ((await decodeMapFromPayloads(engine.converter, fields)) ?? {}) as NodeMemo;
  const attending = latest(description.pendingActivities ?? []);
  const payloads = attending?.heartbeatDetails?.payloads;
  const state = await decodeFromPayloadsAtIndex<NodeState | null>(engine.converter, 0, payloads ?? []);
  const lastSeen = optionalTsToDate(attending?.lastHeartbeatTime);
  // Without a pending activity its worker has gone silent, or has ended.
  const live = lastSeen !== undefined && Date.now() - lastSeen.getTime() < (attendance?.timeout_ms ?? 0);
  return {
    node,
    host: attendance?.host ?? '',
    live,
    lastSeen: lastSeen?.toISOString() ?? last?.at ?? null,
    state: state ?? last ?? null,
  };
}

/** The one that was last heard of: that of a worker which was followed by another is there for a while. */
function latest(activities: PendingActivity[]): PendingActivity | undefined {
  const heardAt = ({ lastHeartbeatTime }: PendingActivity): number =>
    optionalTsToDate(lastHeartbeatTime)?.getTime() ?? 0;
  return [...activities].sort((one, other) => heardAt(other) - heardAt(one))[0];
}
