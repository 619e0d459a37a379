import { jobIdOf } from '../../job/names.js';
import { tasksOf } from '../../job/progress.js';
import { signals, type Abandonment } from '../../job/protocol.js';
import type { RunEvidence } from '../../job/evidence.js';
import { isFinished, placementOf, unclearHosts, watchedHosts } from '../../job/state.js';
import type { ApiContext } from '../context.js';
import { Problem } from '../problem.js';
import { grpc, hasGrpcCode } from '../temporal/connection.js';
import { signalRun } from '../temporal/signal.js';
import type { SeenRun } from './jobs.js';

/** A host may miss one look and answer the next. */
const longEnoughMs = 15_000;

/**
 * Gives a job's attempt up: an operator says that nothing of it is to be waited for (R4). Only where its node is silent, or on those of
 * its hosts that can't be reached or can't see how it stands; elsewhere a cancel ends it truly.
 * @throws Problem `job-finished`, `job-not-placed`, `node-live`, `hosts-reachable`
 */
export async function abandonJob(context: ApiContext, { run, state }: SeenRun, reason: string): Promise<void> {
  const jobId = jobIdOf(run.job);
  if (isFinished(state) || run.closed !== null)
    throw new Problem('job-finished', `${jobId} has finished; there is nothing to abandon`);
  const abandonment = await abandonmentOf(context, run, reason);
  try {
    await signalRun(context.temporal, run, signals.abandon, abandonment);
  } catch (error) {
    if (!hasGrpcCode(error, grpc.NOT_FOUND)) throw error;
    throw new Problem('job-finished', `${jobId} has finished; there is nothing to abandon`);
  }
}

/** What is given up: what is on a node that is silent, and those hosts of which nobody can tell how it stands. */
async function abandonmentOf(context: ApiContext, run: RunEvidence, reason: string): Promise<Abandonment> {
  const placement = placementOf(run);
  const jobId = jobIdOf(run.job);
  const node = placement?.node == null ? undefined : await context.nodes.see(placement.node);
  const attempt = placement?.attempt ?? (run.memo.attempts ?? []).length + 1;
  const known = watchedHosts(run);
  const isOver = (host: string): boolean => known[host]?.finished_at != null && known[host].status !== 'canceled';
  const unclearSince = (time: number): string[] => unclearHosts(run, time).filter((host) => !isOver(host));
  const hosts = unclearSince(Date.now() - longEnoughMs);
  const abandonment = { attempt, reason, hosts, known };
  const instead = run.cancelRequested
    ? 'It is being canceled: its processes are ended'
    : 'Cancel it instead, and its processes are ended';
  const tasks = tasksOf(run.activities.find(({ type }) => type === 'run')?.heartbeat);
  if (placement?.node != null && node?.live !== true) return { ...abandonment, node: placement.node, tasks };
  if (hosts.length > 0) return abandonment;
  const [host] = unclearSince(Date.now());
  if (host !== undefined)
    throw new Problem(
      'hosts-reachable',
      `${host} can be given up when nobody could tell for ${longEnoughMs / 1000} seconds how ${jobId} stands there. Repeat the request then`,
    );
  if (run.memo.kind === 'steps')
    throw new Problem(
      'job-not-placed',
      `${jobId} runs nothing itself. Abandon the step that is in the way: ${jobId}:<step>`,
    );
  if (placement === null)
    throw new Problem('job-not-placed', `${jobId} is on no node now; there is nothing to abandon. Cancel it instead`);
  if (node === undefined)
    throw new Problem(
      'hosts-reachable',
      `Each host that ${jobId} is on can be reached, and tells how it stands. ${instead}`,
    );
  throw new Problem('node-live', `Node ${placement.node} is live: it was heard of at ${node.lastSeen}. ${instead}`);
}
