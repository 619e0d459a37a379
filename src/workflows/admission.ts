import {
  condition,
  defineSignal,
  getExternalWorkflowHandle,
  proxyLocalActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { EngineActivities } from '../activities/index.js';
import { signals, type JobInput } from '../job/protocol.js';
import { tenantSignals, tenantWorkflowId } from '../job/tenant-protocol.js';
import type { Board } from './board.js';
import { isResumed } from './resumed.js';

/** A job's share of its tenant's limit; nothing where there is no limit. */
export class Admission {
  private isAdmitted = false;
  private asked = false;

  constructor(private readonly input: JobInput) {
    setHandler(defineSignal(signals.admitted), () => {
      this.isAdmitted = true;
    });
  }

  /** Waits until the job may be placed. False if it was canceled before, and nothing of it can run. */
  async obtain(board: Board, canceled: Promise<'canceled'>): Promise<boolean> {
    const { tenant, tenant_limit: limit, spec } = this.input;
    if (limit === undefined) return true;
    board.awaitsAdmission(limit);
    const { requestAdmission } = proxyLocalActivities<EngineActivities>({
      startToCloseTimeout: '10s',
      retry: { backoffCoefficient: 1 },
    });
    this.asked = true;
    await requestAdmission(tenant, { workflow_id: workflowInfo().workflowId, priority: spec.priority, limit });
    const next = await Promise.race([condition(() => this.isAdmitted), canceled]);
    const goesOn = next !== 'canceled' || isResumed();
    if (goesOn) board.isAdmitted();
    return goesOn;
  }

  /** Lets the next job of the tenant in. */
  async release(): Promise<void> {
    if (!this.asked) return;
    const admissions = getExternalWorkflowHandle(tenantWorkflowId(this.input.tenant));
    // Where nobody admits any more, nobody waits; a closed job is found out in any case.
    await admissions.signal(tenantSignals.release, workflowInfo().workflowId).catch(() => undefined);
  }
}
