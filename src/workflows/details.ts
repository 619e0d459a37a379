import { jobIdOf } from '../job/names.js';
import type { Outcome } from '../job/outcome.js';
import type { JobInput, JobProgress, Milestone } from '../job/protocol.js';

/** What is known of a run when its details are written. */
interface Known {
  input: JobInput;
  /** The run that the attempts' folders are kept by. */
  evidenceRunId: string;
  progress: JobProgress;
  milestone: Milestone | null;
  /** Why it waits. */
  note: string | null;
  outcome: Outcome | undefined;
}

/** A run in Markdown, for somebody who meets it in Temporal's Web UI: what, where, how far, why it waits, where its output is. */
export function detailsOf(known: Known): string {
  const { input, progress, milestone } = known;
  const { attempts } = progress;
  const placement = current(progress);
  const job = jobIdOf({ playbookName: input.playbook_name, name: input.name });
  const lines = [
    `**${headline(known)}**`,
    '',
    `- Job \`${job}\` of tenant \`${input.tenant}\`: playbook \`${input.spec.playbook}\``,
  ];
  const why = whyItWaits(known);
  if (why !== null) lines.push(`- Why it waits: ${why}`);
  if (placement !== null) lines.push(`- Where: node \`${placement.node}\`, attempt ${placement.attempt}`);
  if (milestone !== null && progress.stage === 'running') lines.push(`- How far: ${howFar(milestone)}`);
  for (const { attempt, node, outcome } of attempts)
    lines.push(`- Attempt ${attempt} on node \`${node}\`: ${ending(outcome)}`);
  const written = lastWritten(known);
  if (written !== null) lines.push(`- Output: \`GET /api/v1/jobs/${job}/stdout\`, or ${onDisk(known, written)}`);
  return lines.join('\n').replace(/(T\d\d:\d\d:\d\d)\.\d+Z/g, '$1Z');
}

/** Where it is now; not where a former attempt was. */
function current({ stage, placement }: JobProgress): JobProgress['placement'] {
  return stage === 'running' || stage === 'ending' ? placement : null;
}

/** The last attempt that has begun, and so has output. */
function lastWritten({ progress, milestone }: Known): { node: string; attempt: number } | null {
  const placement = current(progress);
  if (placement !== null && milestone !== null) return placement;
  return progress.attempts.findLast(({ outcome }) => outcome.started_at !== null) ?? null;
}

function headline({ progress, milestone, note, outcome }: Known): string {
  const node = progress.placement?.node ?? '';
  switch (progress.stage) {
    case 'admission':
      return 'Waiting for other jobs of its tenant to end';
    case 'placing':
      return 'Waiting for a free slot on a node';
    case 'waiting':
      return `Waiting: ${note}`;
    case 'running':
      return milestone === null ? `Starting on node ${node}` : `Running on node ${node} since ${milestone.started_at}`;
    case 'ending':
      return `Being canceled: node ${node} ends its processes`;
    case 'ended':
      return outcome === undefined ? 'Ended' : `Ended: ${ending(outcome)}`;
  }
}

/** What the workflow knows of it: how many slots are taken, only those who ask for the job are told. */
function whyItWaits({ progress: { stage, attempts }, note }: Known): string | null {
  switch (stage) {
    case 'admission':
      return `${note}. It is its turn when one of them has ended, by priority, then in the order of submission`;
    case 'placing':
      return 'all slots are taken or kept for jobs ahead of it (by priority, then fairly among tenants), or no node can take it. `GET /api/v1/nodes` shows the slots, and the job itself how many are taken; what a node says that could not take it is in the tab _Pending Activities_, at `place`';
    case 'waiting':
      return `attempt ${attempts.at(-1)?.attempt} failed, as told below, and another one is to follow`;
    default:
      return null;
  }
}

function howFar({ percent, message, at }: Milestone): string {
  const share = percent === null ? 'started' : `${percent} %`;
  const when = at === undefined ? '' : ` at ${at}`;
  const now = message === null ? '' : ` (${message})`;
  return `${share}${when}${now}; newer figures are in the tab _Pending Activities_, at \`run\``;
}

function ending(outcome: Outcome): string {
  switch (outcome.status) {
    case 'successful':
      return `successful at ${outcome.finished_at}`;
    case 'failed':
      return `failed (${outcome.failure.kind}) at ${outcome.finished_at}: ${outcome.failure.message}`;
    case 'canceled':
      return `canceled at ${outcome.finished_at}: ${outcome.reason}`;
  }
}

function onDisk({ input, evidenceRunId }: Known, { node, attempt }: { node: string; attempt: number }): string {
  const { tenant, playbook_name, name } = input;
  const path = `runs/${tenant}/${playbook_name}/${name}/${evidenceRunId}/${attempt}/stdout.log`;
  return `\`${path}\` in the data folder of node \`${node}\``;
}
