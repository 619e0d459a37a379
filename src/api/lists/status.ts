import type { JobStatus } from '../../job/document.js';
import type { RunClose } from '../../job/evidence.js';
import { all, any, equals, isNoneOf, isOneOf } from '../../job/visibility.js';

/**
 * What a run is in lists: by how its workflow was closed, and while it is open, or where that doesn't tell, by its attribute
 * `status`. The same as a record's status and as a condition, so that a filter finds what the answer shows.
 */

/** What Temporal's visibility calls a workflow that was closed in this way. */
export const closedWords: Record<RunClose['as'], string> = {
  completed: 'Completed',
  failed: 'Failed',
  canceled: 'Canceled',
  terminated: 'Terminated',
  timed_out: 'TimedOut',
  other: 'ContinuedAsNew',
};
const { completed, canceled, terminated, ...unsuccessful } = closedWords;

const isOpen = isNoneOf('ExecutionStatus', Object.values(closedWords));
const hasFailed = isOneOf('ExecutionStatus', Object.values(unsuccessful));

/** A job that was canceled without Temporal, in the foreground: when it is entered there, that can't close as canceled. */
export const canceledElsewhere = all(hasFailed, equals('status', 'canceled'));

/** The status of a run. @param told its attribute `status` */
export function listedStatus(closed: RunClose['as'] | null, told: string | undefined): JobStatus {
  switch (closed) {
    case null:
      return openStatus(told);
    case 'completed':
      return 'successful';
    case 'canceled':
    case 'terminated':
      return 'canceled';
    default:
      return told === 'canceled' ? 'canceled' : 'failed';
  }
}

/** For a moment an open run may have the status that it is about to close with. */
function openStatus(told: string | undefined): JobStatus {
  if (told === 'pending') return told;
  return told === 'canceling' || told === 'canceled' ? 'canceling' : 'running';
}

/** The runs that have this status. */
export function hasStatus(status: JobStatus): string {
  switch (status) {
    case 'pending':
      return all(isOpen, equals('status', 'pending'));
    case 'running':
      return all(isOpen, isNoneOf('status', ['pending', 'canceling', 'canceled']));
    case 'canceling':
      return all(isOpen, isOneOf('status', ['canceling', 'canceled']));
    case 'successful':
      return equals('ExecutionStatus', completed);
    case 'failed':
      return all(hasFailed, isNoneOf('status', ['canceled']));
    case 'canceled':
      return any(isOneOf('ExecutionStatus', [canceled, terminated]), canceledElsewhere);
  }
}
