import type { Failure } from '../job/failure.js';
import type { TargetResult } from '../job/outcome.js';
import { notStarted } from '../job/progress.js';
import type { Look, TaskResult } from './looks.js';

/** What a look at a host means for the job there. */

const longestText = 500;
const mostLeftovers = 10;

/** How it ended by its own record, or by that of what somebody else started. */
export function resultOfFinished({ result, started_at, job_id }: Extract<Look, { state: 'finished' }>): TargetResult {
  const { leftovers = [] } = result;
  const ended = {
    rc: result.rc ?? (result.signal === null ? null : -result.signal),
    changed: result.changed ?? null,
    ansible_job_id: job_id,
    message: result.msg?.slice(0, longestText) ?? null,
    started_at: timeOf(started_at),
    finished_at: timeOf(Math.max(result.at, started_at ?? 0)),
    ...(leftovers.length > 0 && { leftovers: leftovers.slice(0, mostLeftovers) }),
  };
  if (result.cause === 'cancel' || result.cause === 'terminated')
    return { status: 'canceled', failure: null, ...ended };
  const failure = failureOf(result);
  return { status: failure === null ? 'successful' : 'failed', failure, ...ended };
}

/** The same, with what it said last where it said no more than that it failed. */
export function withLastError(result: TargetResult, line: string | null): TargetResult {
  const { failure, rc } = result;
  if (failure?.kind !== 'exit' || line === null || !isBare(failure.message)) return result;
  return { ...result, failure: { ...failure, message: `it ended with rc ${rc}: ${line}` } };
}

function isBare(message: string): boolean {
  return message === 'non-zero return code' || message.startsWith('it ended with rc ');
}

/** How it ended that was never started. */
export function resultOfVoid({ cause, reason }: Extract<Look, { state: 'void' }>): TargetResult {
  if (cause === 'launch') return failed({ kind: 'launch', message: `It could not be started: ${reason}` });
  if (cause === 'lost') return failed({ kind: 'lost', message: `It was never started: ${reason}` });
  return { ...notStarted, status: 'canceled', message: reason || 'before it started', finished_at: now() };
}

/** What failed, and nothing more is known of it. */
export function failed(failure: Failure, known: Partial<TargetResult> = {}): TargetResult {
  return { ...notStarted, ...known, status: 'failed', failure, finished_at: now() };
}

/** RFC 3339 of seconds since 1970. */
export function timeOf(seconds: number | null): string | null {
  return seconds === null ? null : new Date(seconds * 1000).toISOString();
}

function failureOf(result: TaskResult): Failure | null {
  const { rc, signal, cause, launch, lost, verdict = 'lost', storage, msg } = result;
  if (launch !== undefined) return { kind: 'launch', message: `It could not be started: ${launch}` };
  if (cause === 'timeout') return { kind: 'timed_out', message: 'its timeout passed; its processes were killed' };
  if (typeof lost === 'string') return { kind: verdict, message: lost };
  if (storage != null)
    return {
      kind: 'storage',
      message: `${storage.lost_bytes} bytes of its output were lost (${storage.reason ?? 'the disk refused it'}); rc is ${rc ?? 'unknown'}`,
    };
  const by = signal ?? (rc !== null && rc < 0 ? -rc : null);
  if (by !== null) return { kind: 'killed', message: `it was ended by signal ${by}`, signal: by };
  if (rc !== null && rc !== 0)
    return { kind: 'exit', message: isBare(said(msg, 'it ended with rc ')) ? `it ended with rc ${rc}` : said(msg, '') };
  return result.failed === true ? { kind: 'exit', message: said(msg, 'it failed') } : null;
}

function said(msg: string | null | undefined, otherwise: string): string {
  const text = msg?.replace(/\s+/g, ' ').trim() ?? '';
  return text === '' ? otherwise : text.slice(0, longestText);
}

function now(): string {
  return new Date().toISOString();
}
