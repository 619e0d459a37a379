import { signals, type AttemptRef, type Milestone, type RunHeartbeat } from '../job/protocol.js';
import type { NodeContext, RunInTemporal } from './context.js';

/** What ends sooner is not worth a line in the lists. */
const youngMs = 1_000;
const signalTimeoutMs = 5_000;
/** Shares of the work, in percent, that are worth telling when the job is a long one. */
const quarters = [25, 50, 75];
const betweenMs = 60_000;

/**
 * Tells the workflow of an attempt that it runs, and when a long one has come a quarter further: for lists and Temporal's
 * Web UI. A few signals in a run, however long it is. What was told is kept in the heartbeats, beyond this worker's end.
 */
export class Milestones {
  private told: { percent: number; at: number } | null;
  private telling = false;

  constructor(
    private readonly context: NodeContext,
    private readonly ref: AttemptRef,
    private readonly asking: RunInTemporal,
    former: RunHeartbeat | undefined,
  ) {
    this.told = former?.told ?? null;
  }

  /** Begins to tell what there is to tell of this heartbeat, and returns it with a note of what was told. */
  note(heartbeat: RunHeartbeat): RunHeartbeat {
    const reached = this.reached(heartbeat);
    if (reached !== undefined && !this.telling) void this.tell(heartbeat, reached);
    return { ...heartbeat, told: this.told };
  }

  private reached({ started_at, percent = null }: RunHeartbeat): number | undefined {
    if (started_at === null || Date.now() - Date.parse(started_at) < youngMs) return undefined;
    if (this.told === null) return 0;
    if (Date.now() - this.told.at < betweenMs) return undefined;
    const { percent: before } = this.told;
    return quarters.findLast((quarter) => quarter > before && quarter <= (percent ?? 0));
  }

  private async tell({ started_at, percent = null, message }: RunHeartbeat, reached: number): Promise<void> {
    const { client, log } = this.context;
    const { workflowId, runId } = this.asking;
    const milestone: Milestone = { attempt: this.ref.attempt, started_at: started_at ?? '', percent, message };
    this.telling = true;
    try {
      const handle = client.workflow.getHandle(workflowId, runId);
      await client.withDeadline(Date.now() + signalTimeoutMs, () => handle.signal(signals.milestone, milestone));
      this.told = { percent: reached, at: Date.now() };
    } catch (error) {
      log.debug({ err: error, workflowId }, 'a milestone could not be told; the next look tries again');
    } finally {
      this.telling = false;
    }
  }
}
