import { longestTtl } from '../../job/retention.js';
import type { JobSpec } from '../../job/spec.js';
import { Problem } from '../problem.js';
import type { Retention } from '../temporal/retention.js';

/**
 * The spec with a `ttl` that Temporal's retention allows: the default is bounded by it, a longer one that was asked for refused.
 * @param isGiven whether the caller has set `ttl`
 * @throws Problem `invalid-request`
 */
export async function withinRetention(retention: Retention, spec: JobSpec, isGiven: boolean): Promise<JobSpec> {
  const seconds = await retention.seconds();
  const longest = longestTtl(seconds);
  if (spec.ttl <= longest) return spec;
  if (!isGiven) return { ...spec, ttl: longest };
  const detail = `at most ${longest} s here, because Temporal keeps finished jobs for ${seconds} s`;
  throw new Problem('invalid-request', `/ttl: ${detail}`, { errors: [{ pointer: '/ttl', detail }] });
}
