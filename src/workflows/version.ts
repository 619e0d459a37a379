import { patched, workflowInfo } from '@temporalio/workflow';
import type { Attendance } from '../job/node-protocol.js';

/** Runs that were begun before jobs had search attributes go on as they were begun: without them, and all that came along. */
export function hasSearchAttributes(): boolean {
  return workflowInfo().typedSearchAttributes.getAll().length > 0;
}

/**
 * Whether the workflow of a node remembers how it was last, and tells its jobs when it is silent and when it is back. Not while
 * a worker of an earlier version serves it, which doesn't say how many slots it has.
 */
export function tellsOfSilence({ slots }: Attendance): boolean {
  return slots !== undefined;
}

/** Whether a run that was canceled while no node had it asks why, so that lists can tell. */
export function asksWhyCanceled(): boolean {
  return patched('asks-why-canceled');
}

/** Whether a run whose hosts are watched in several parts tells of those that have ended, while others go on. */
export function tellsOfEndedHosts(): boolean {
  return patched('tells-of-ended-hosts');
}

/** Whether a step tells its job that it runs when that is first known from hosts that have ended. */
export function tellsJobOfEndedHosts(): boolean {
  return patched('tells-job-of-ended-hosts');
}

/** Whether hosts that are waited for can be given up, and no others. */
export function abandonsHosts(): boolean {
  return patched('abandons-hosts');
}

/** Whether an attempt that is watched in several parts stays with the node that alone can watch one of them. */
export function keepsNodeOfAttempt(): boolean {
  return patched('keeps-node-of-attempt');
}

/** Whether a run on hosts that continues another after a Reset, and is canceled, asks what that one had prepared. */
export function asksFormerRunWhenCanceled(): boolean {
  return patched('asks-former-run-when-canceled');
}

/** Whether a run that is canceled waits only for those hosts on which it was ended. */
export function waitsForCanceledHosts(): boolean {
  return patched('waits-for-canceled-hosts');
}

/** Whether a job that was canceled has failed if hosts were given up: something of it may live there. */
export function failsWithHostsGivenUp(): boolean {
  return patched('fails-with-hosts-given-up');
}

/** Whether an attempt counts that a cancel has cut off before it had any host. */
export function countsOnlyAttemptsWithHosts(): boolean {
  return patched('counts-only-attempts-with-hosts');
}
