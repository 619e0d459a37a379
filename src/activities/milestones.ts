import { signals, type Milestone, type RunHeartbeat } from '../job/protocol.js';
import type { NodeContext, RunInTemporal } from './context.js';

const signalTimeoutMs = 5_000;
/** After a failure. */
const pauseMs = 10_000;
/**
 * When an attempt has run for so long, it is told how far it has come. What ends before the first is not worth a line in the
 * lists; later ones are ever further apart, so that there are a few of them however long it runs (1, 4, 16, 64 minutes, 4 hours).
 */
const dueAfterMs = [1_000, ...[0, 1, 2, 3, 4].map((power) => 60_000 * 4 ** power)];

/**
 * Tells the workflow of an attempt that it runs, and now and then how far a long one has come: for lists and Temporal's Web UI.
 * How often it was told is kept in the heartbeats, beyond this worker's end.
 */
export class Milestones {
  private told: number;
  private telling = false;
  /** Since when it is known to run, ms since 1970. */
  private runsSince: number | null = null;
  /** Not tried again before, ms since 1970. */
  private notBefore = 0;

  constructor(
    private readonly context: NodeContext,
    private readonly ref: { attempt: number },
    private readonly asking: RunInTemporal,
    former: RunHeartbeat | undefined,
  ) {
    // Earlier versions kept what was told last.
    this.told = typeof former?.told === 'number' ? former.told : former?.told == null ? 0 : 1;
  }

  /** Begins to tell what there is to tell of this heartbeat, and returns it with a note of what was told. */
  note(heartbeat: RunHeartbeat): RunHeartbeat {
    if (heartbeat.started_at !== null) this.runsSince ??= Date.now();
    const due = milestonesDue(heartbeat, this.runsSince);
    if (due > this.told && !this.telling && Date.now() >= this.notBefore) void this.tell(heartbeat, due);
    return { ...heartbeat, told: this.told };
  }

  private async tell({ started_at, percent = null, message }: RunHeartbeat, due: number): Promise<void> {
    const { client, log } = this.context;
    const { workflowId, runId } = this.asking;
    const at = new Date().toISOString();
    const milestone: Milestone = { attempt: this.ref.attempt, started_at: started_at ?? '', at, percent, message };
    this.telling = true;
    try {
      const handle = client.workflow.getHandle(workflowId, runId);
      await client.withDeadline(Date.now() + signalTimeoutMs, () => handle.signal(signals.milestone, milestone));
      this.told = due;
    } catch (error) {
      this.notBefore = Date.now() + pauseMs;
      log.debug({ err: error, workflowId }, 'a milestone could not be told; the next look tries again');
    } finally {
      this.telling = false;
    }
  }
}

function milestonesDue({ started_at }: RunHeartbeat, runsSince: number | null): number {
  if (started_at === null || runsSince === null) return 0;
  // A target's clock may be ahead.
  const elapsedMs = Date.now() - Math.min(Date.parse(started_at), runsSince);
  return dueAfterMs.filter((afterMs) => afterMs <= elapsedMs).length;
}
