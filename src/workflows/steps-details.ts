import type { Step, StepsSpec } from '../job/kinds/steps.js';
import { jobIdOf } from '../job/names.js';
import type { Outcome } from '../job/outcome.js';
import type { JobInput, JobProgress } from '../job/protocol.js';
import { titleOf } from '../job/title.js';
import type { StepRecord } from '../job/step-protocol.js';
import { endingInWords } from './details.js';

/** What is known of a run of several steps when its details are written. */
interface Known {
  input: JobInput;
  spec: StepsSpec;
  records: ReadonlyMap<string, StepRecord>;
  stage: JobProgress['stage'];
  outcome: Outcome | undefined;
}

/** A run of several steps in Markdown, for somebody who meets it in Temporal's Web UI: how it stands, and how each step does. */
export function detailsOfSteps(known: Known): string {
  const { input, spec, records } = known;
  const job = jobIdOf({ playbookName: input.playbook_name, name: input.name });
  return [
    `**${headline(known)}**`,
    '',
    `- Job \`${job}\` of tenant \`${input.tenant}\`: ${spec.steps.length} step(s), each a workflow of its own`,
    ...spec.steps.map((step) => `- ${lineOf(step, records.get(step.name), known.outcome !== undefined)}`),
    `- Output: \`GET /api/v1/jobs/${job}/stdout\`; of one step \`GET /api/v1/jobs/${job}:STEP/stdout\``,
  ].join('\n');
}

function headline({ spec, records, stage, outcome }: Known): string {
  const all = [...records.values()];
  const ended = all.filter(({ end, closed }) => end !== null || closed !== null).length;
  const share = `${ended} of ${spec.steps.length} ended`;
  switch (stage) {
    case 'ending':
      return `Being canceled: its steps are ended (${share})`;
    case 'ended':
      return outcome === undefined ? 'Ended' : `Ended: ${endingInWords(outcome)}`;
    case 'running':
      return `Running (${share})`;
    default:
      return `Starting (${share})`;
  }
}

function lineOf(step: Step, record: StepRecord | undefined, isOver: boolean): string {
  return `\`${step.name}\` (${step.kind} \`${titleOf(step).replaceAll('`', "'")}\`): ${standing(step, record, isOver)}`;
}

function standing({ needs }: Step, record: StepRecord | undefined, isOver: boolean): string {
  if (record === undefined) {
    if (isOver) return 'not started';
    return needs.length === 0 ? 'about to start' : `waits for ${needs.map((need) => `\`${need}\``).join(', ')}`;
  }
  const { end, closed, started_at } = record;
  if (closed !== null) return closed;
  if (end === null) return started_at === null ? 'waits for its start' : `running since ${started_at}`;
  return end.failure === null
    ? `${end.status} at ${end.finished_at}`
    : `failed (${end.failure.kind}) at ${end.finished_at}: ${end.failure.message}`;
}
