import { describe, expect, it } from 'vitest';
import type { AttemptRecord, JobInput, JobProgress, Milestone } from '../../src/job/protocol.js';
import type { Outcome } from '../../src/job/outcome.js';
import { JobSpec } from '../../src/job/spec.js';
import { detailsOf } from '../../src/workflows/details.js';

const at = (minute: number): string => `2026-01-01T00:0${minute}:00Z`;
const input: JobInput = {
  tenant: 'default',
  playbook_name: 'site',
  name: 'x',
  spec: JobSpec.parse({ playbook: 'site.yml' }),
};
const placement = { node: 'n1', attempt: 1 };
const milestone: Milestone = {
  attempt: 1,
  started_at: '2026-01-01T00:01:00.123Z',
  at: at(4),
  percent: 26,
  message: 'Copy files',
};
const failed: Outcome = {
  status: 'failed',
  failure: { kind: 'exit', message: 'ansible-playbook ended with rc 2' },
  rc: 2,
  stats: {},
  started_at: at(1),
  finished_at: at(2),
  leftovers: [],
};
const first: AttemptRecord = { attempt: 1, node: 'n1', outcome: failed };
const file = '`runs/default/site/x/run-1/1/stdout.log` in the data folder of node `n1`';

function details(progress: Partial<JobProgress>, more: Partial<Parameters<typeof detailsOf>[0]> = {}): string {
  return detailsOf({
    input,
    evidenceRunId: 'run-1',
    progress: { stage: 'placing', placement: null, attempts: [], ...progress },
    milestone: null,
    silence: null,
    note: null,
    outcome: undefined,
    ...more,
  });
}

describe("what Temporal's Web UI shows of a job", () => {
  it('that runs: where, and its output by a path to be copied', () => {
    const shown = details({ stage: 'running', placement }, { milestone });
    expect(shown).toContain(`**Running on node n1 since ${at(1)}**`);
    expect(shown).toContain('- Where: node `n1`, attempt 1');
    expect(shown).toContain(
      `- How far: 26 % at ${at(4)} (Copy files); newer figures are in the tab _Pending Activities_`,
    );
    expect(shown).toContain(`or ${file}`);
  });

  it('whose node is silent: since when, how far it was, and what to do; and that it is so no more', () => {
    const silence = { since: at(5), isOver: false };
    const shown = details({ stage: 'running', placement }, { milestone, silence });
    expect(shown).toContain(
      `**Node n1 silent since ${at(5)}; it may run on there; the job goes on when the node is back**`,
    );
    expect(shown).toContain('- How far: 26 %');
    expect(shown).toContain('POST /api/v1/jobs/site:x/abandon');
    expect(details({ stage: 'ending', placement }, { milestone, silence })).toContain(
      `**Node n1 silent since ${at(5)}`,
    );
    const last = details({ stage: 'running', placement }, { milestone, silence: { since: at(5), isOver: true } });
    expect(last).toContain(`**Running on node n1 since ${at(1)}**`);
    expect(last).toContain('not told here any more');
    expect(details({ stage: 'ended', placement }, { silence })).not.toContain('silent');
  });

  it('that waits: for what, and where to learn more', () => {
    expect(details({ stage: 'admission' }, { note: 'it has 2 running' })).toContain(
      'Why it waits: it has 2 running. It',
    );
    expect(details({})).toMatch(/Why it waits: all slots are taken .*GET \/api\/v1\/nodes.*Pending Activities/);
    expect(details({ stage: 'running', placement })).not.toContain('Why it waits');
  });

  it('that has not begun: no output', () => {
    expect(details({})).not.toContain('Output');
    expect(details({ stage: 'running', placement })).not.toContain('Output');
    const launch: Outcome = { ...failed, failure: { kind: 'launch', message: 'no such program' }, started_at: null };
    expect(details({ stage: 'waiting', attempts: [{ ...first, outcome: launch }] })).not.toContain('Output');
  });

  it('that waits for its next attempt: how the last one ended and its output, but no place where it would be now', () => {
    const shown = details({ stage: 'waiting', placement, attempts: [first] }, { note: `attempt 2 is due at ${at(3)}` });
    expect(shown).toContain(`**Waiting: attempt 2 is due at ${at(3)}**`);
    expect(shown).not.toContain('Where');
    expect(shown).toContain('- Attempt 1 on node `n1`: failed (exit)');
    expect(shown).toContain(file);
    const again = details({ stage: 'running', placement: { node: 'n2', attempt: 2 }, attempts: [first] });
    expect(again).toContain('- Where: node `n2`, attempt 2');
    expect(again).toContain(file);
  });

  it('that was canceled: why', () => {
    const outcome: Outcome = { ...failed, status: 'canceled', reason: 'not tonight' };
    expect(details({ stage: 'ended' }, { outcome })).toContain(`**Ended: canceled at ${at(2)}: not tonight**`);
  });
});
