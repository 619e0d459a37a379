/** How jobs share their tenant's limit: a workflow for each tenant admits them, by priority and then in their order. */

/** The workflow type of a tenant's admissions. */
export const tenantWorkflowType = 'tenant';

/** The Temporal workflow ID of a tenant's admissions. A job's has three parts. */
export function tenantWorkflowId(tenant: string): string {
  return `tenant/${tenant}`;
}

export const tenantSignals = {
  /** An `AdmissionRequest`. */
  acquire: 'acquire',
  /** The workflow ID of a job that has ended. */
  release: 'release',
} as const;

/** A job that wants to be placed. A job has one open run at most, so its workflow ID is enough, also after a Reset. */
export interface AdmissionRequest {
  workflow_id: string;
  /** 1 is admitted first. */
  priority: number;
  /** The tenant's limit, as the API knows it now. */
  limit: number;
}

/** The argument of the tenant workflow: what it knew when its history was cut. */
export interface TenantInput {
  admitted: string[];
  waiting: { workflow_id: string; priority: number }[];
  limit: number;
}
