import { patched, workflowInfo } from '@temporalio/workflow';

/** Runs that were begun before jobs had search attributes go on as they were begun: without them, and all that came along. */
export function hasSearchAttributes(): boolean {
  return workflowInfo().typedSearchAttributes.getAll().length > 0;
}

/** Whether a run that was canceled while no node had it asks why, so that lists can tell. */
export function asksWhyCanceled(): boolean {
  return patched('asks-why-canceled');
}
