import type { Attendance, NodeState } from '../job/node-protocol.js';

/** How a node is, as its workflow knows it. Times are RFC 3339. */
export type NodeStanding =
  { is: 'live'; since: string } | { is: 'away'; since: string; last: NodeState | undefined; jobsGivenUp: boolean };

const shownAttempts = 20;

/** A node in Markdown, for somebody who meets it in Temporal's Web UI: how it is, where, what runs there, what to do. */
export function nodeDetailsOf(by: Attendance, standing: NodeStanding): string {
  const { node, host, data_dir } = by;
  const lines = [
    standing.is === 'live'
      ? `**Live: served by ${host} since ${standing.since}**`
      : `**Away: nothing was heard of it since ${standing.since}**`,
    '',
    `- Node \`${node}\` on host \`${host}\`, with the data folder \`${data_dir}\``,
    ...(standing.is === 'live' ? slotsNow(by) : whileAway(by, standing)),
  ];
  return lines.join('\n').replace(/(T\d\d:\d\d:\d\d)\.\d+Z/g, '$1Z');
}

function slotsNow({ slots }: Attendance): string[] {
  const many = slots === undefined ? '' : `${slots}; `;
  return [
    `- Slots: ${many}what runs in them is in the tab _Pending Activities_, at \`attend\`, and at \`GET /api/v1/nodes\``,
  ];
}

function whileAway(
  { node, lost_after_ms }: Attendance,
  { last, jobsGivenUp }: Extract<NodeStanding, { is: 'away' }>,
): string[] {
  const given = jobsGivenUp ? 'were given up' : `are given up when it has been away for ${lost_after_ms / 1000} s more`;
  return [
    ...(last === undefined ? [] : slotsThen(last)),
    '- What to do: start Longhaul there again, with the same data folder. Its jobs may have run on, and go on then',
    `- If it never comes back: \`POST /api/v1/jobs/{job_id}/abandon\` with a \`reason\` for each of its jobs, which \`GET /api/v1/jobs?node=${node}&status=running,canceling\` lists. Those that said \`on_node_lost: fail\` or \`rerun\` ${given}`,
  ];
}

function slotsThen({ at, slots, taken, attempts }: NodeState): string[] {
  const shown = attempts
    .slice(0, shownAttempts)
    .map(({ workflow_id, attempt }) => `\`${workflow_id}\`${attempt > 1 ? ` (attempt ${attempt})` : ''}`);
  const more = taken > shown.length ? [`${taken - shown.length} more`] : [];
  const what = taken === 0 ? '' : `: ${[...shown, ...more].join(', ')}`;
  return [`- Slots, as last heard at ${at}: ${taken} of ${slots} taken${what}`];
}
