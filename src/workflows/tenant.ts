import {
  condition,
  continueAsNew,
  defineSignal,
  getExternalWorkflowHandle,
  proxyLocalActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { EngineActivities } from '../activities/index.js';
import { signals } from '../job/protocol.js';
import { tenantSignals, type AdmissionRequest, type TenantInput } from '../job/tenant-protocol.js';

/** How often those that were admitted are looked at while others wait: a terminated job releases nothing. */
const lookInterval = '10s';
/** Without a job for so long it ends; the next job starts it again. */
const idleFor = '10m';
const maxHistory = 2_000;

/** Admits a tenant's jobs to placing, never more at a time than its limit, by priority and then in their order. */
export async function tenant({ admitted, waiting, limit }: TenantInput): Promise<void> {
  const holders = new Set(admitted);
  const queue = [...waiting];
  const asksAgain: string[] = [];
  let changes = 0;

  setHandler(defineSignal<[AdmissionRequest]>(tenantSignals.acquire), ({ workflow_id, priority, limit: latest }) => {
    limit = latest;
    changes += 1;
    // One that is in already was reset, or has run again after it was terminated.
    if (holders.has(workflow_id)) asksAgain.push(workflow_id);
    else if (!queue.some((waiter) => waiter.workflow_id === workflow_id)) queue.push({ workflow_id, priority });
  });
  setHandler(defineSignal<[string]>(tenantSignals.release), (workflowId) => {
    changes += 1;
    holders.delete(workflowId);
    const place = queue.findIndex(({ workflow_id }) => workflow_id === workflowId);
    if (place >= 0) queue.splice(place, 1);
  });

  for (;;) {
    const seen = changes;
    for (const workflowId of asksAgain.splice(0)) await tell(workflowId);
    while (queue.length > 0 && holders.size < limit) await admit();
    // Whoever asked again meanwhile is told first.
    if (asksAgain.length === 0 && workflowInfo().historyLength > maxHistory)
      await continueAsNew<typeof tenant>({ admitted: [...holders], waiting: queue, limit });
    const isBusy = queue.length > 0;
    const isNews = await condition(() => changes !== seen, isBusy ? lookInterval : idleFor);
    if (isNews) continue;
    if (holders.size === 0 && queue.length === 0) return;
    const { closedJobs } = proxyLocalActivities<EngineActivities>({ startToCloseTimeout: '60s' });
    for (const workflowId of await closedJobs([...holders])) holders.delete(workflowId);
  }

  async function admit(): Promise<void> {
    const best = Math.min(...queue.map(({ priority }) => priority));
    const [next] = queue.splice(
      queue.findIndex(({ priority }) => priority === best),
      1,
    );
    if (next === undefined) return;
    holders.add(next.workflow_id);
    await tell(next.workflow_id);
  }

  async function tell(workflowId: string): Promise<void> {
    try {
      await getExternalWorkflowHandle(workflowId).signal(signals.admitted);
    } catch {
      // It has closed while it waited.
      holders.delete(workflowId);
    }
  }
}
