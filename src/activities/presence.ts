import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { WithStartWorkflowOperation, type Workflow } from '@temporalio/client';
import {
  attendUpdate,
  nodeWorkflowId,
  nodeWorkflowType,
  type AttendAnswer,
  type Attendance,
  type NodeInput,
  type NodeMemo,
  type NodeState,
} from '../job/node-protocol.js';
import { sharedTaskQueue } from '../job/protocol.js';
import type { NodeContext } from './context.js';
import { describeWorkflow } from './engine.js';

const shownAttempts = 100;
const mostOnHosts = 2_000;
const askTimeoutMs = 10_000;
const askAgainMs = 2_000;

/** Another worker serves as this node; the message says where, and what to do. */
export class NodeTakenError extends Error {
  override readonly name = 'NodeTakenError';

  constructor({ node, host, data_dir }: Attendance) {
    super(
      `Node ${node} is served by another worker, on ${host} with data folder ${data_dir}. Give each its own NODE_ID. ` +
        'If that one is gone for good and this is its restore, start again when NODE_TIMEOUT has passed.',
    );
  }
}

/** What keeps this worker known in Temporal as the one that serves its node. */
export class Presence {
  private attending = 0;
  private asking = false;
  private timer: NodeJS.Timeout | undefined;

  /** @param taken called when another worker has taken the node over */
  constructor(
    private readonly context: NodeContext,
    private readonly attendance: Attendance,
    private readonly taken: (error: NodeTakenError) => void,
  ) {}

  /**
   * Resolves when this worker may serve the node. Waits while a former one may only have gone silent (R8). Workflows have
   * to be served already.
   * @throws NodeTakenError when another machine or data folder goes on serving it
   */
  async claim(signal: AbortSignal): Promise<void> {
    // Whoever has the same machine and data folder has our lock too: there is nobody to wait for.
    if (!(await this.isOurs(signal))) await this.untilAccepted(signal);
    else void this.keep();
    this.timer = setInterval(() => void this.keep(), this.attendance.timeout_ms / 4);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** The activity: tells how the node is until this worker ends or Temporal counts on it no more; how it was last. */
  async attend(): Promise<NodeState> {
    const { cancellationSignal: signal, heartbeat } = Context.current();
    this.attending += 1;
    try {
      for (;;) {
        heartbeat(await this.state());
        await delay(this.attendance.timeout_ms / 4, undefined, { signal }).catch((error: unknown) => {
          if (!signal.aborted) throw error;
        });
        if (signal.aborted) return { ...(await this.state()), final: true };
      }
    } finally {
      this.attending -= 1;
    }
  }

  /** Asks again where Temporal counts this worker as away: it was itself away, say, for longer than the timeout. */
  private async keep(): Promise<void> {
    if (this.attending > 0 || this.asking) return;
    this.asking = true;
    try {
      const answer = await this.ask();
      if (!answer.accepted) this.taken(new NodeTakenError(answer.by));
    } catch (error) {
      this.context.log.debug({ err: error }, 'no answer to the claim of the node; asking again');
    } finally {
      this.asking = false;
    }
  }

  private async untilAccepted(signal: AbortSignal): Promise<void> {
    const until = Date.now() + this.attendance.timeout_ms + 2 * askAgainMs;
    for (;;) {
      const answer = await this.patiently(() => this.ask(), signal);
      if (answer.accepted) return;
      if (Date.now() >= until) throw new NodeTakenError(answer.by);
      this.context.log.warn(
        { by: answer.by },
        'another worker serves as this node; waiting whether it has gone silent',
      );
      await delay(askAgainMs, undefined, { signal });
    }
  }

  private async isOurs(signal: AbortSignal): Promise<boolean> {
    const { node, binding } = this.attendance;
    const description = await this.patiently(() => describeWorkflow(this.context, nodeWorkflowId(node)), signal);
    const memo = (description?.memo ?? {}) as NodeMemo;
    return description?.status.name === 'RUNNING' && memo.attendance?.binding === binding;
  }

  private async patiently<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await ask();
      } catch (error) {
        this.context.log.warn({ err: error }, 'Temporal does not say yet who serves this node');
        await delay(askAgainMs, undefined, { signal });
      }
    }
  }

  private ask(): Promise<AttendAnswer> {
    const { node, host } = this.attendance;
    const input: NodeInput = { node };
    const startWorkflowOperation = new WithStartWorkflowOperation<Workflow>(nodeWorkflowType, {
      workflowId: nodeWorkflowId(node),
      taskQueue: sharedTaskQueue,
      args: [input],
      workflowIdConflictPolicy: 'USE_EXISTING',
      staticSummary: `Node ${node} on ${host}`,
    });
    const { client } = this.context;
    return client.withDeadline(Date.now() + askTimeoutMs, () =>
      client.workflow.executeUpdateWithStart<Workflow, AttendAnswer, [Attendance]>(attendUpdate, {
        args: [this.attendance],
        startWorkflowOperation,
      }),
    );
  }

  private async state(): Promise<NodeState> {
    const { slots, ledger, log } = this.context;
    const at = new Date().toISOString();
    const onHosts = await ledger.open().catch((error: unknown) => {
      log.warn({ err: error }, 'what is on target hosts can not be read');
      return null;
    });
    const taken = await slots.taken();
    const attempts = taken.flatMap(({ holder }) =>
      holder === undefined ? [] : [{ workflow_id: holder.workflow_id, run_id: holder.run_id, attempt: holder.attempt }],
    );
    return {
      at,
      slots: slots.limit,
      taken: taken.length,
      attempts: attempts.slice(0, shownAttempts),
      on_hosts: onHosts === null || onHosts.length > mostOnHosts ? null : onHosts,
    };
  }
}
