import type { Step } from '../../job/kinds/steps.js';
import type { JobSpec } from '../../job/spec.js';
import { titleOf } from '../../job/title.js';

/** Temporal refuses more than 20 kB. */
const detailsCharacters = 4_000;

/** What was asked for, for Temporal's Web UI; the variables, which may be secret, are left to the input. */
export function askedFor(spec: JobSpec): string {
  const lines = [`- Priority ${spec.priority} of 5${limitsOf(spec)}`, ...workIn(spec)].join('\n');
  return lines.length <= detailsCharacters ? lines : `${lines.slice(0, detailsCharacters)}…`;
}

function limitsOf(spec: JobSpec): string {
  if (spec.kind === 'steps') return '';
  const { timeout, retry } = spec;
  return `; ${timeout === undefined ? 'no timeout' : `timeout ${timeout} s`}; at most ${retry.max_attempts} attempt(s)`;
}

function workIn(spec: JobSpec): string[] {
  if (spec.kind === 'steps') return spec.steps.map(stepIn);
  const on = typeof spec.inventory === 'string' ? `\`${spec.inventory}\`` : 'an inventory of its own';
  if (spec.kind === 'adopt') return [`- Watches an async job that was started elsewhere: ${titleOf(spec)}`];
  if (spec.kind === 'task') return [`- \`${titleOf(spec).replaceAll('`', "'")}\` on \`${spec.hosts}\` of ${on}`];
  const { playbook, limit, tags, skip_tags, check } = spec;
  return [
    `- Playbook \`${playbook}\` on ${on}${limit === undefined ? '' : `, limited to \`${limit}\``}`,
    ...(tags.length > 0 ? [`- Tags: \`${tags.join(', ')}\``] : []),
    ...(skip_tags.length > 0 ? [`- Skipped tags: \`${skip_tags.join(', ')}\``] : []),
    ...(check ? ['- Check mode: nothing is changed'] : []),
  ];
}

function stepIn(step: Step): string {
  const needs = step.needs.length === 0 ? '' : `, after ${step.needs.map(quoted).join(', ')}`;
  return `- ${quoted(step.name)}: ${step.kind} ${quoted(titleOf(step))}${needs}`;
}

function quoted(text: string): string {
  return `\`${text.replaceAll('`', "'")}\``;
}
