/**
 * The names by which a job is known. A job is `<tenant>/<playbook_name>/<name>` in Temporal (its workflow ID)
 * and `<playbook_name>:<name>` in URLs, within the caller's tenant.
 */

/** Grammar shared by tenant, playbook_name and name: 1-200 of `A-Z a-z 0-9 . _ ~ @ % + = -`, not starting with `.` or `-`. */
export const namePattern = /^(?![.-])[A-Za-z0-9._~@%+=-]{1,200}$/;

/** The grammar in words, for messages to a caller. */
export const nameRule = '1-200 characters of A-Z a-z 0-9 . _ ~ @ % + = -, not starting with . or -';

export interface JobName {
  tenant: string;
  playbookName: string;
  name: string;
}

/** Whether `value` can be a tenant, playbook_name or name. */
export function isName(value: string): boolean {
  return namePattern.test(value);
}

/** The Temporal workflow ID of a job. */
export function workflowIdOf({ tenant, playbookName, name }: JobName): string {
  return `${tenant}/${playbookName}/${name}`;
}

/** The job's handle in URLs, not yet percent-encoded. */
export function jobIdOf({ playbookName, name }: Pick<JobName, 'playbookName' | 'name'>): string {
  return `${playbookName}:${name}`;
}

/** Reads a job_id of `tenant`; undefined if it is malformed. */
export function parseJobId(tenant: string, jobId: string): JobName | undefined {
  const [playbookName, name, ...more] = jobId.split(':');
  if (playbookName === undefined || name === undefined || more.length > 0) return undefined;
  return isName(playbookName) && isName(name) ? { tenant, playbookName, name } : undefined;
}

/** Reads a workflow ID of ours; undefined if it is somebody else's. */
export function parseWorkflowId(workflowId: string): JobName | undefined {
  const [tenant, playbookName, name, ...more] = workflowId.split('/');
  if (tenant === undefined || playbookName === undefined || name === undefined || more.length > 0) return undefined;
  return [tenant, playbookName, name].every(isName) ? { tenant, playbookName, name } : undefined;
}

/** A playbook's default playbook_name: its path without the extension, `/` as `.`; it may not fit the grammar. */
export function playbookNameOf(playbook: string): string {
  return playbook.replace(/\.ya?ml$/i, '').replaceAll('/', '.');
}
