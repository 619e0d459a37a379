import type { Outcome } from './outcome.js';

/** What is kept of an outcome where there are many: without what hosts did, and without what it handed on. */
export function inBrief(outcome: Outcome): Outcome {
  const brief = { ...outcome, stats: {} };
  delete brief.targets;
  delete brief.targets_omitted;
  delete brief.outputs;
  delete brief.outputs_omitted;
  return brief;
}
