/**
 * The names by which a job is known. A job is `<tenant>/<playbook_name>/<name>` in Temporal (its workflow ID)
 * and `<playbook_name>:<name>` in URLs, within the caller's tenant. A step of it is
 * `<tenant>/<playbook_name>/<name>/<run of the job>/<step>`, and `<playbook_name>:<name>:<step>`.
 */

/** Grammar shared by tenant, playbook_name, name and step: 1-200 of `A-Z a-z 0-9 . _ ~ @ % + = -`, not starting with `.` or `-`. */
export const namePattern = /^(?![.-])[A-Za-z0-9._~@%+=-]{1,200}$/;

/** The grammar in words, for messages to a caller. */
export const nameRule = '1-200 characters of A-Z a-z 0-9 . _ ~ @ % + = -, not starting with . or -';

export interface JobName {
  tenant: string;
  playbookName: string;
  name: string;
  /** Of what is a step of that job: of which of its runs (the first one where others continue it after a Reset), and which. */
  step?: StepName;
}

export interface StepName {
  runId: string;
  name: string;
}

/** Whether `value` can be a tenant, playbook_name, name or step. */
export function isName(value: string): boolean {
  return namePattern.test(value);
}

/** The Temporal workflow ID of a job, or of a step. */
export function workflowIdOf({ tenant, playbookName, name, step }: JobName): string {
  const job = `${tenant}/${playbookName}/${name}`;
  return step === undefined ? job : `${job}/${step.runId}/${step.name}`;
}

/** What the workflow IDs of all steps of a job begin with, or of those of one of its runs. */
export function stepsPrefixOf(job: JobName, runId?: string): string {
  const all = `${workflowIdOf(jobOfStep(job))}/`;
  return runId === undefined ? all : `${all}${runId}/`;
}

/** The job that a step is of; of a job itself. */
export function jobOfStep({ tenant, playbookName, name }: JobName): JobName {
  return { tenant, playbookName, name };
}

/** The handle in URLs, not yet percent-encoded. */
export function jobIdOf({ playbookName, name, step }: Omit<JobName, 'tenant'>): string {
  const job = `${playbookName}:${name}`;
  return step === undefined ? job : `${job}:${step.name}`;
}

/** Reads a job_id of `tenant`: which job, and which step of it; undefined if it is malformed. */
export function parseJobId(tenant: string, jobId: string): { job: JobName; step?: string } | undefined {
  const [playbookName, name, step, ...more] = jobId.split(':');
  if (playbookName === undefined || name === undefined || more.length > 0) return undefined;
  if (![playbookName, name, step ?? name].every(isName)) return undefined;
  return { job: { tenant, playbookName, name }, ...(step !== undefined && { step }) };
}

/** Reads a workflow ID of ours; undefined if it is somebody else's. */
export function parseWorkflowId(workflowId: string): JobName | undefined {
  const parts = workflowId.split('/');
  const [tenant = '', playbookName = '', name = '', runId, step] = parts;
  if ((parts.length !== 3 && parts.length !== 5) || !parts.every(isName)) return undefined;
  const job = { tenant, playbookName, name };
  return runId === undefined || step === undefined ? job : { ...job, step: { runId, name: step } };
}

/** A playbook's default playbook_name: its path without the extension, `/` as `.`; it may not fit the grammar. */
export function playbookNameOf(playbook: string): string {
  return playbook.replace(/\.ya?ml$/i, '').replaceAll('/', '.');
}
