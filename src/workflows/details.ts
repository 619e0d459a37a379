import { jobIdOf } from '../job/names.js';
import type { Outcome } from '../job/outcome.js';
import type { JobInput, JobProgress, Milestone } from '../job/protocol.js';
import type { JobSpec } from '../job/spec.js';
import { titleOf } from '../job/title.js';

/** What is known of a run when its details are written. */
interface Known {
  input: JobInput;
  /** The run that the attempts' folders are kept by. */
  evidenceRunId: string;
  progress: JobProgress;
  milestone: Milestone | null;
  /** Its node is silent, or has been so often that no more is told of it; null where neither is the case. */
  silence: { since: string; isOver: boolean } | null;
  /** Why it waits. */
  note: string | null;
  outcome: Outcome | undefined;
}

/** A run in Markdown, for somebody who meets it in Temporal's Web UI: what, where, how far, why it waits, where its output is. */
export function detailsOf(known: Known): string {
  const { input, progress, milestone } = known;
  const { attempts } = progress;
  const placement = current(progress);
  const job = idOf(input);
  const what = input.step === undefined ? 'Job' : 'Step';
  const lines = [
    `**${headline(known)}**`,
    '',
    `- ${what} \`${job}\` of tenant \`${input.tenant}\`: ${whatOf(input.spec)}`,
  ];
  const why = whyItWaits(known);
  if (why !== null) lines.push(`- Why it waits: ${why}`);
  if (placement !== null) lines.push(`- Where: ${whereOf(placement)}, attempt ${placement.attempt}`);
  if (placement?.node != null) lines.push(...silenceOf(known, placement.node));
  if (milestone !== null && progress.stage === 'running') lines.push(`- How far: ${howFar(input.spec, milestone)}`);
  for (const { attempt, node, outcome } of attempts)
    lines.push(`- Attempt ${attempt} on ${whereOf({ node })}: ${endingInWords(outcome)}`);
  const written = lastWritten(known);
  if (written !== null) lines.push(`- Output: \`GET /api/v1/jobs/${job}/stdout\`, or ${onDisk(known, written)}`);
  return lines.join('\n').replace(/(T\d\d:\d\d:\d\d)\.\d+Z/g, '$1Z');
}

/** What else there is to say, and to do, about a node that is silent. */
function silenceOf({ input, silence, progress }: Known, node: string): string[] {
  if (silence === null) return [];
  if (silence.isOver)
    return [
      `- Its node has been silent again and again, last since ${silence.since}. Whether it is now is not told here any more: see the workflow \`node/${node}\`, or \`GET /api/v1/nodes\``,
    ];
  const job = idOf(input);
  const policy = 'on_node_lost' in input.spec ? input.spec.on_node_lost : 'wait';
  const byPolicy = {
    wait: 'it waits for its node, however long that takes (`on_node_lost: wait`)',
    fail: 'it fails when its node has stayed away for NODE_LOST_AFTER (`on_node_lost: fail`)',
    rerun: 'it runs again elsewhere when its node has stayed away for NODE_LOST_AFTER (`on_node_lost: rerun`)',
  }[policy];
  return [
    ...(progress.stage === 'running' ? [`- What becomes of it: ${byPolicy}`] : []),
    `- What to do: start Longhaul on node \`${node}\` again. If it never comes back: \`POST /api/v1/jobs/${job}/abandon\` with a \`reason\``,
  ];
}

/** Where it is now; not where a former attempt was. */
function current({ stage, placement }: JobProgress): JobProgress['placement'] {
  return stage === 'running' || stage === 'ending' ? placement : null;
}

/** Where an attempt was, or is. */
interface Attempted {
  node: string | null;
  attempt: number;
}

/** The last attempt that has begun, and so has output. */
function lastWritten({ progress, milestone }: Known): Attempted | null {
  const placement = current(progress);
  if (placement !== null && milestone !== null) return placement;
  return progress.attempts.findLast(({ outcome }) => outcome.started_at !== null) ?? null;
}

function headline(known: Known): string {
  const { input, progress, milestone, silence, note, outcome } = known;
  const node = progress.placement?.node ?? null;
  const where = node === null ? 'its hosts' : `node ${node}`;
  const silent = silence?.isOver === false ? `Node ${node} silent since ${silence.since}` : null;
  switch (progress.stage) {
    case 'admission':
      return 'Waiting for other jobs of its tenant to end';
    case 'placing':
      return isOfHosts(input.spec) ? 'Reaching its hosts' : 'Waiting for a free slot on a node';
    case 'waiting':
      return `Waiting: ${note}`;
    case 'running':
      if (silent !== null) return `${silent}; it may run on there; the job goes on when the node is back`;
      return milestone === null ? `Starting on ${where}` : `Running on ${where} since ${milestone.started_at}`;
    case 'ending':
      if (silent !== null) return `${silent}; being canceled: its processes may run on there until the node is back`;
      return node === null
        ? 'Being canceled: its processes on its hosts are ended'
        : `Being canceled: ${where} ends its processes`;
    case 'ended':
      return outcome === undefined ? 'Ended' : `Ended: ${endingInWords(outcome)}`;
  }
}

function isOfHosts({ kind }: JobSpec): boolean {
  return kind === 'task' || kind === 'adopt';
}

function whatOf(spec: JobSpec): string {
  if (spec.kind === 'playbook') return `playbook \`${spec.playbook}\``;
  if (spec.kind === 'steps') return titleOf(spec);
  const title = `\`${titleOf(spec).replaceAll('`', "'")}\``;
  return spec.kind === 'adopt' ? `watches the async job ${title}` : `${title} on hosts \`${spec.hosts}\``;
}

function whereOf({ node }: Pick<Attempted, 'node'>): string {
  return node === null ? 'its hosts' : `node \`${node}\``;
}

/** What the workflow knows of it: how many slots are taken, only those who ask for the job are told. */
function whyItWaits({ input, progress: { stage, attempts }, note }: Known): string | null {
  switch (stage) {
    case 'admission':
      return `${note}. It is its turn when one of them has ended, by priority, then in the order of submission`;
    case 'placing':
      return isOfHosts(input.spec)
        ? 'its hosts are being prepared, or can not be reached; what the last look at them told is in the tab _Pending Activities_, at `prepareTargets`'
        : 'all slots are taken or kept for jobs ahead of it (by priority, then fairly among tenants), or no node can take it. `GET /api/v1/nodes` shows the slots, and the job itself how many are taken; what a node says that could not take it is in the tab _Pending Activities_, at `place`';
    case 'waiting':
      return `attempt ${attempts.at(-1)?.attempt} failed, as told below, and another one is to follow`;
    default:
      return null;
  }
}

function howFar(spec: JobSpec, { percent, message, at }: Milestone): string {
  const share = percent === null ? 'no figures yet' : `${percent} %`;
  const when = at === undefined ? '' : ` at ${at}`;
  const now = message === null ? '' : ` (${message})`;
  return `${share}${when}${now}; newer figures are in the tab _Pending Activities_, at \`${isOfHosts(spec) ? 'runTargets' : 'run'}\``;
}

/** How something ended, in one line. */
export function endingInWords(outcome: Outcome): string {
  switch (outcome.status) {
    case 'successful':
      return `successful at ${outcome.finished_at}`;
    case 'failed':
      return `failed (${outcome.failure.kind}) at ${outcome.finished_at}: ${outcome.failure.message}`;
    case 'canceled':
      return `canceled at ${outcome.finished_at}: ${outcome.reason}`;
  }
}

function idOf({ playbook_name: playbookName, name, step }: JobInput): string {
  return jobIdOf({
    playbookName,
    name,
    ...(step !== undefined && { step: { runId: step.run_id, name: step.name } }),
  });
}

function onDisk({ input, evidenceRunId }: Known, { node, attempt }: Attempted): string {
  const { tenant, playbook_name, name, spec } = input;
  const file = isOfHosts(spec) ? 'hosts/<host>/stdout' : 'stdout.log';
  const path = `runs/${tenant}/${playbook_name}/${name}/${evidenceRunId}/${attempt}/${file}`;
  return `\`${path}\` in the data folder of ${node === null ? 'the node that watched it' : `node \`${node}\``}`;
}
