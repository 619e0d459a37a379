import {
  CancellationScope,
  TimeoutFailure,
  ActivityFailure,
  condition,
  continueAsNew,
  defineUpdate,
  proxyActivities,
  proxyLocalActivities,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import type { AbsenceActivities, NodeActivities } from '../activities/index.js';
import {
  attendUpdate,
  type AttendAnswer,
  type Attendance,
  type NodeInput,
  type NodeMemo,
  type NodeState,
} from '../job/node-protocol.js';
import { nodeTaskQueue } from '../job/protocol.js';
import { nodeDetailsOf } from './node-details.js';
import { tellsOfSilence } from './version.js';

/** A node that nobody has served for so long is forgotten. */
const forgottenAfter = '30 days';
const maxHistory = 2_000;

/** When the node was last heard of, and how it was then, where that is known. */
interface Silence {
  by: 'its end' | 'timeout';
  heardAt: string | undefined;
  last: NodeState | undefined;
}

const absence = proxyLocalActivities<AbsenceActivities>({ startToCloseTimeout: '10m' });

/**
 * Stands for a node: knows who serves it, lets nobody else (R8), notices when it goes silent, tells its jobs, and in the end has
 * those given up that asked for it (R4).
 */
export async function node({ node: id, attendance, told = [] }: NodeInput): Promise<void> {
  let serving = attendance;
  let next: Attendance | undefined;
  let last: NodeState | undefined;
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
    if (workflowInfo().historyLength > maxHistory)
      await continueAsNew<typeof node>({ node: id, attendance: serving, told });
    const begun = now();
    setCurrentDetails(nodeDetailsOf(serving, { is: 'live', since: begun }));
    const telling = tellReturn();
    const end = await attended(serving);
    await telling;
    if (end === 'replaced') continue;
    // It may have fallen silent again before it said anything.
    last = end.last ?? last;
    const since = end.heardAt ?? begun;
    const by = serving;
    serving = undefined;
    setCurrentDetails(nodeDetailsOf(by, { is: 'away', since, last, jobsGivenUp: false }));
    if (next === undefined && tellsOfSilence(by)) {
      if (last !== undefined) upsertMemo({ last } satisfies NodeMemo);
      // One that has ended by itself may be back soon: it is silent when the timeout has passed for it, too.
      if (end.by === 'its end' && (await condition(() => next !== undefined, by.timeout_ms))) continue;
      told = await absence.tellSilence({ node: id, since });
    }
    // Asked for once more: what came with the timer counts.
    if ((await condition(() => next !== undefined, by.lost_after_ms)) || next !== undefined) continue;
    await absence.giveUpJobs({ node: id, since });
    setCurrentDetails(nodeDetailsOf(by, { is: 'away', since, last, jobsGivenUp: true }));
  }

  function take(): Attendance | undefined {
    const taken = next;
    next = undefined;
    if (taken !== undefined) upsertMemo({ attendance: taken } satisfies NodeMemo);
    return taken;
  }

  /** Beside the attending: the node is live whether or not all jobs have heard of it. */
  async function tellReturn(): Promise<void> {
    if (told.length === 0) return;
    const jobs = told;
    told = [];
    await absence.tellReturn(id, jobs);
  }

  /** Until it goes silent: since when, and how it was last; or until another start of the worker takes its place. */
  async function attended(by: Attendance): Promise<Silence | 'replaced'> {
    const { attend } = proxyActivities<Pick<NodeActivities, 'attend'>>({
      taskQueue: nodeTaskQueue(id),
      startToCloseTimeout: '3650 days',
      scheduleToStartTimeout: by.timeout_ms,
      heartbeatTimeout: by.timeout_ms,
      retry: { maximumAttempts: 1 },
      summary: `Served by ${by.host}`,
    });
    const scope = new CancellationScope();
    const silent = scope.run(() => attend(by)).then(endedAttending, fellSilent);
    const replaced = condition(() => next !== undefined).then(() => 'replaced' as const);
    const end = await Promise.race([silent, replaced]);
    if (end === 'replaced') scope.cancel();
    return end;
  }
}

/** Its worker has ended and said so. @param last undefined from an earlier version */
function endedAttending(last: NodeState | undefined): Silence {
  return { by: 'its end', heardAt: now(), last };
}

function fellSilent(error: unknown): Silence {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  if (!(cause instanceof TimeoutFailure)) return endedAttending(undefined);
  const last = cause.lastHeartbeatDetails as NodeState | undefined;
  return { by: 'timeout', heardAt: last?.at, last };
}

function now(): string {
  return new Date().toISOString();
}
