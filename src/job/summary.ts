import type { z } from 'zod';
import { documentOf, JobDocument, type JobStatus, type Links, type OutputSummary } from './document.js';
import type { AttemptEvidence, RunEvidence } from './evidence.js';
import { stateOf, type JobState } from './state.js';
import { unknownProgress } from './progress.js';

/** A run as lists show it: the part of its document that is known without asking for it. */
export const JobSummary = JobDocument.pick({
  job_id: true,
  run_id: true,
  name: true,
  playbook_name: true,
  tenant: true,
  workspace: true,
  kind: true,
  title: true,
  playbook: true,
  status: true,
  failure: true,
  error: true,
  node: true,
  attempt: true,
  created_at: true,
  started_at: true,
  finished_at: true,
  metadata: true,
  links: true,
}).meta({ id: 'JobSummary' });
export type JobSummary = z.infer<typeof JobSummary>;
const summaryFields = Object.keys(JobSummary.shape) as (keyof JobSummary)[];

/** A list doesn't ask nodes: a run that was closed by somebody else counts as gone. */
const gone: AttemptEvidence = { startedAt: null, outcome: null, over: true };
/** Of a run whose output is not asked for. */
export const unread: OutputSummary = {
  available: false,
  recentLines: [],
  text: null,
  truncated: false,
  progress: unknownProgress,
};

/**
 * The state of a run as a list has it.
 * @param run what visibility knows of it
 * @param status what it is by its attributes
 */
export function listedState(run: RunEvidence, status: JobStatus): JobState {
  if (run.closed !== null) return stateOf(run, gone);
  const startedAt = run.memo.started_at ?? null;
  switch (status) {
    case 'pending':
      return { status, stage: 'placing', message: '' };
    case 'canceling':
      return { status, stage: 'ending', message: '', startedAt };
    default:
      return { status: 'running', stage: 'running', message: null, startedAt };
  }
}

/** Assembles the summary of a run. */
export function summaryOf(run: RunEvidence, state: JobState, links: Links): JobSummary {
  const document = documentOf(run, state, unread, links);
  return Object.fromEntries(summaryFields.map((field) => [field, document[field]])) as JobSummary;
}
