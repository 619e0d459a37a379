import {
  CancellationScope,
  TimeoutFailure,
  ActivityFailure,
  condition,
  continueAsNew,
  defineUpdate,
  proxyActivities,
  proxyLocalActivities,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import type { EngineActivities, NodeActivities } from '../activities/index.js';
import {
  attendUpdate,
  type AttendAnswer,
  type Attendance,
  type NodeInput,
  type NodeMemo,
  type NodeState,
} from '../job/node-protocol.js';
import { nodeTaskQueue } from '../job/protocol.js';

/** A node that nobody has served for so long is forgotten. */
const forgottenAfter = '30 days';
const maxHistory = 2_000;

/**
 * Stands for a node: knows who serves it, lets nobody else (R8), notices when it goes silent, and then has those jobs
 * given up that asked for it (R4).
 */
export async function node({ node: id, attendance }: NodeInput): Promise<void> {
  let serving = attendance;
  let next: Attendance | undefined;
  setHandler(defineUpdate<AttendAnswer, [Attendance]>(attendUpdate), (wanted) => {
    const rival = next ?? serving;
    // The same machine and data folder: a lock proves the former worker dead.
    if (rival !== undefined && rival.binding !== wanted.binding) return { accepted: false, by: rival };
    next = wanted;
    return { accepted: true };
  });

  for (;;) {
    if (next === undefined && serving === undefined && !(await condition(() => next !== undefined, forgottenAfter)))
      return;
    serving = take() ?? serving;
    if (serving === undefined) continue;
    if (workflowInfo().historyLength > maxHistory) await continueAsNew<typeof node>({ node: id, attendance: serving });
    const end = await attended(serving);
    if (end === 'replaced') continue;
    const { lost_after_ms } = serving;
    serving = undefined;
    // Asked for once more: what came with the timer counts.
    if ((await condition(() => next !== undefined, lost_after_ms)) || next !== undefined) continue;
    const { giveUpJobs } = proxyLocalActivities<EngineActivities>({ startToCloseTimeout: '10m' });
    await giveUpJobs({ node: id, since: end.silentSince });
  }

  function take(): Attendance | undefined {
    const taken = next;
    next = undefined;
    if (taken !== undefined) upsertMemo({ attendance: taken } satisfies NodeMemo);
    return taken;
  }

  /** Until it goes silent: since when; or until another start of the worker takes its place. */
  async function attended(by: Attendance): Promise<{ silentSince: string } | 'replaced'> {
    const { attend } = proxyActivities<Pick<NodeActivities, 'attend'>>({
      taskQueue: nodeTaskQueue(id),
      startToCloseTimeout: '3650 days',
      scheduleToStartTimeout: by.timeout_ms,
      heartbeatTimeout: by.timeout_ms,
      retry: { maximumAttempts: 1 },
      summary: `Served by ${by.host}`,
    });
    const scope = new CancellationScope();
    const silent = scope
      .run(() => attend(by))
      .then(
        () => ({ silentSince: now() }),
        (error: unknown) => ({ silentSince: lastHeard(error) }),
      );
    const replaced = condition(() => next !== undefined).then(() => 'replaced' as const);
    const end = await Promise.race([silent, replaced]);
    if (end === 'replaced') scope.cancel();
    return end;
  }
}

function lastHeard(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  const heard = cause instanceof TimeoutFailure ? (cause.lastHeartbeatDetails as NodeState | undefined)?.at : undefined;
  return heard ?? now();
}

function now(): string {
  return new Date().toISOString();
}
