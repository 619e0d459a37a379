import { z } from 'zod';
import { JobDocument } from '../../job/document.js';
import { jobIdOf, type JobName } from '../../job/names.js';
import { linksOf } from '../links.js';

const parts = JobDocument.shape;

/** The answer to a submission. */
export const Accepted = z
  .object({
    job_id: parts.job_id,
    run_id: parts.run_id,
    name: parts.name,
    status: parts.status,
    created_at: parts.created_at,
    created: z.boolean().describe('Whether this request started the run'),
    progress: parts.progress,
    execution_mode: parts.execution_mode,
    fallback_reason: parts.fallback_reason,
    links: parts.links,
  })
  .meta({ id: 'Accepted' });
export type Accepted = z.infer<typeof Accepted>;

/** The answer to a cancel. */
export const Acknowledged = Accepted.omit({ created: true }).meta({ id: 'Acknowledged' });
export type Acknowledged = z.infer<typeof Acknowledged>;

/** The answer to `?sync=true` once the job has ended. */
export const SyncResult = z
  .object({
    status: parts.status,
    rc: z.int().nullable(),
    stdout: z.string().describe('The whole output up to 64 KiB, else its last lines within 64 KiB'),
    stats: z.record(z.string(), z.unknown()),
    failure: parts.failure,
    error: parts.error,
    job_id: parts.job_id,
    run_id: parts.run_id,
    execution_mode: parts.execution_mode,
    fallback_reason: parts.fallback_reason,
  })
  .meta({ id: 'SyncResult' });
export type SyncResult = z.infer<typeof SyncResult>;

export function acceptedOf(document: JobDocument, created: boolean): Accepted {
  return { ...acknowledgementOf(document), created };
}

export function acknowledgementOf({
  job_id,
  run_id,
  name,
  status,
  created_at,
  progress,
  execution_mode,
  fallback_reason,
  links,
}: JobDocument): Acknowledged {
  return { job_id, run_id, name, status, created_at, progress, execution_mode, fallback_reason, links };
}

/** What is known of a run right after its start, when nothing more could be read. */
export function newlyAccepted(job: JobName, runId: string): Accepted {
  return {
    job_id: jobIdOf(job),
    run_id: runId,
    name: job.name,
    status: 'pending',
    created_at: new Date().toISOString(),
    created: true,
    progress: { stage: 'placing', percent: null, message: 'Accepted', tasks_done: 0, tasks_total: null, eta: null },
    execution_mode: 'workflow',
    fallback_reason: null,
    links: linksOf({ job, runId }, true, undefined),
  };
}

export function syncResultOf(document: JobDocument): SyncResult {
  const { status, result, failure, error, job_id, run_id, execution_mode, fallback_reason } = document;
  const { rc, stdout, stats } = result ?? { rc: null, stdout: '', stats: {} };
  return { status, rc, stdout, stats, failure, error, job_id, run_id, execution_mode, fallback_reason };
}
