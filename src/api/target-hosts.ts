import type { Logger } from 'pino';
import { specOfStep } from '../job/spec-of-step.js';
import type { JobSpec } from '../job/spec.js';
import { refusedHost, UnusableInventoryError, type FindHosts } from '../targets/found-hosts.js';
import type { InventoryFiles } from '../targets/inventory-files.js';
import { Problem } from './problem.js';

/** What tells whether the hosts of a job can be served. */
export interface TargetHosts {
  find: FindHosts;
  inventories: InventoryFiles;
}

/**
 * Refuses work on hosts that an inventory doesn't have, or that can't be served. Where that can't be told here and now, whoever
 * prepares the job on its hosts tells.
 * @throws Problem `invalid-request`
 */
export async function requireHosts(targets: TargetHosts, spec: JobSpec, log: Logger): Promise<void> {
  if (spec.kind !== 'steps') return requireHostsOf(targets, spec, '', log);
  for (const [index, step] of spec.steps.entries())
    await requireHostsOf(targets, specOfStep(spec, step, {}), `/steps/${index}`, log);
}

/** @param within where in the body the spec is */
async function requireHostsOf(
  { find, inventories }: TargetHosts,
  spec: Exclude<JobSpec, { kind: 'steps' }>,
  within: string,
  log: Logger,
): Promise<void> {
  if (spec.kind === 'playbook') return;
  const pattern = spec.kind === 'task' ? spec.hosts : spec.adopt.host;
  const pointer = `${within}${spec.kind === 'task' ? '/hosts' : '/adopt/host'}`;
  try {
    const hosts = await find(
      await inventories.inventory(spec.inventory),
      await inventories.variables(spec.extra_vars),
      pattern,
    );
    const refusal = hosts.map(refusedHost).find((why) => why !== undefined);
    if (refusal !== undefined) throw invalid(pointer, refusal);
    if (spec.kind === 'adopt' && hosts.length > 1)
      throw invalid(pointer, `${pattern} is ${hosts.length} hosts; a job that was started elsewhere is on one`);
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (error instanceof UnusableInventoryError)
      throw invalid(error.field === 'inventory' ? `${within}/inventory` : pointer, error.message);
    log.warn({ err: error }, 'the hosts of a job could not be looked up; it is accepted without');
  }
}

function invalid(pointer: string, detail: string): Problem {
  return new Problem('invalid-request', `${pointer}: ${detail}`, { errors: [{ pointer, detail }] });
}
