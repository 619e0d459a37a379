import { describe, expect, it } from 'vitest';
import { noCounts, progressOfAll, unknownProgress } from '../../src/job/progress.js';
import { documentOf, JobDocument, type OutputSummary } from '../../src/job/document.js';
import type { AttemptEvidence, PendingActivity, RunEvidence } from '../../src/job/evidence.js';
import type { Outcome } from '../../src/job/outcome.js';
import { heardOf, isClosing, stateOf } from '../../src/job/state.js';

const created = '2026-01-01T00:00:00.000Z';
const at = (second: number) => new Date(Date.parse(created) + second * 1000).toISOString();
const counters = { ok: 1, changed: 0, unreachable: 0, failures: 0, skipped: 0, rescued: 0, ignored: 0 };
const ended = { rc: 0, stats: { a: counters }, started_at: at(1), finished_at: at(5), leftovers: [] };
const successful: Outcome = { status: 'successful', ...ended };
const failed: Outcome = {
  status: 'failed',
  failure: { kind: 'exit', message: 'ansible-playbook ended\nwith rc 2' },
  ...ended,
  rc: 2,
};
const lost: Outcome = { status: 'failed', failure: { kind: 'lost', message: 'no trace' }, ...ended, rc: null };
const canceled: Outcome = { status: 'canceled', reason: 'changed my mind', ...ended, rc: null };
const placement = { node: 'n1', attempt: 1 };
const running: PendingActivity = {
  type: 'run',
  taken: true,
  heardAt: null,
  lastFailure: null,
  heartbeat: { started_at: at(1), percent: 20, tasks_done: 2, message: 'Make folders', unusual: false },
};
const output: OutputSummary = {
  available: true,
  recentLines: ['x'],
  text: 'x\n',
  truncated: false,
  progress: {
    ...unknownProgress,
    percent: 30,
    tasksDone: 3,
    tasksTotal: 10,
    message: 'Copy files',
    hosts: { a: noCounts },
  },
};

function runOf(parts: Partial<RunEvidence>): RunEvidence {
  const job = { tenant: 'default', playbookName: 'site', name: 'x' };
  return {
    job,
    runId: 'r',
    evidenceRunId: 'r',
    createdAt: created,
    closed: null,
    cancelRequested: false,
    memo: {},
    activities: [],
    failingTask: null,
    ...parts,
  };
}

function documentFrom(run: RunEvidence, attempt: AttemptEvidence | null = null): JobDocument {
  const document = documentOf(run, stateOf(run, attempt), output, { self: '/s', stdout: '/o', runs: '/r' });
  return JobDocument.parse(document);
}

const closedAs = (as: NonNullable<RunEvidence['closed']>['as'], reason: string | null = null) => ({
  as,
  at: at(6),
  reason,
  continuedBy: null,
});
const folder = (parts: Partial<AttemptEvidence>): AttemptEvidence => ({
  startedAt: null,
  outcome: null,
  over: false,
  ...parts,
});

describe('a job that has not started', () => {
  it('is pending, and says what it waits for', () => {
    const place = { type: 'place', taken: false, heardAt: null, lastFailure: null, heartbeat: null };
    expect(documentFrom(runOf({}))).toMatchObject({
      status: 'pending',
      started_at: null,
      attempt: 1,
      attempts: [],
      node: null,
      result: null,
    });
    expect(documentFrom(runOf({ activities: [place] })).progress.message).toBe('Waiting for a free slot');
    expect(
      documentFrom(runOf({ activities: [{ ...place, heardAt: null, lastFailure: 'disk full' }] })).progress.message,
    ).toContain('disk full');
  });

  it('is pending when it has a node and nothing shows that it started', () => {
    const run = runOf({ memo: { placement }, activities: [{ ...running, taken: false, heartbeat: null }] });
    expect(documentFrom(run)).toMatchObject({
      status: 'pending',
      node: 'n1',
      progress: { stage: 'starting', message: 'Waiting for node n1' },
    });
  });

  it('says why and when it is tried again', () => {
    const memo = { placement: null, retry_at: at(35), attempts: [{ attempt: 1, node: 'n1', outcome: lost }] };
    const document = documentFrom(runOf({ memo }));
    expect(document).toMatchObject({ status: 'pending', attempt: 2, started_at: null, progress: { stage: 'waiting' } });
    expect(document.progress.message).toBe(`Waiting until ${at(35)} for attempt 2. Attempt 1 failed (lost): no trace`);
    expect(document.attempts).toMatchObject([{ attempt: 1, status: 'failed', failure: { kind: 'lost' } }]);
  });
});

describe('a job that runs', () => {
  it('is running by its heartbeat', () => {
    const document = documentFrom(runOf({ memo: { placement }, activities: [running] }));
    expect(document).toMatchObject({
      status: 'running',
      started_at: at(1),
      node: 'n1',
      result: null,
      recent_logs: ['x'],
    });
    expect(document.progress).toMatchObject({
      stage: 'running',
      percent: 30,
      message: 'Copy files',
      tasks_done: 3,
      tasks_total: 10,
    });
    expect(document.hosts).toEqual({ a: { status: 'ok', ...noCounts } });
    expect(document.attempts).toMatchObject([{ attempt: 1, status: 'running', started_at: at(1) }]);
  });

  it('says rather what is unusual than what it does', () => {
    const heartbeat = { ...running.heartbeat!, message: 'it may have ended', unusual: true };
    const document = documentFrom(runOf({ memo: { placement }, activities: [{ ...running, heartbeat }] }));
    expect(document.progress.message).toBe('it may have ended');
  });

  it('is running by its folder before a heartbeat came, and when nobody watches it', () => {
    const started = folder({ startedAt: at(2) });
    const unheard = runOf({ memo: { placement }, activities: [{ ...running, heartbeat: null }] });
    expect(documentFrom(unheard, started)).toMatchObject({ status: 'running', started_at: at(2) });
    expect(documentFrom(runOf({ memo: { placement } }), started)).toMatchObject({ status: 'running' });
  });

  it('stays running while its node is away, and says so', () => {
    const away = { ...running, taken: false, heardAt: null, lastFailure: 'nothing was heard of its node' };
    const document = documentFrom(runOf({ memo: { placement }, activities: [away] }));
    expect(document.status).toBe('running');
    expect(document.progress.message).toBe(
      'Waiting for node n1 to watch it: nothing was heard of its node. It may run on there; the job goes on when the node is back',
    );
  });

  it('says that its workflow fails', () => {
    const document = documentFrom(
      runOf({ memo: { placement }, activities: [running], failingTask: 'no such function' }),
    );
    expect(document.progress.message).toBe('The workflow of this job makes no progress: no such function');
  });
});

describe('a job that is canceled', () => {
  it('is canceling until it has closed, and names what is left', () => {
    const end = {
      type: 'end',
      taken: false,
      heardAt: null,
      lastFailure: '1 process(es) of this attempt can not be killed: pid 7 (sleep)',
      heartbeat: null,
    };
    const run = runOf({ cancelRequested: true, memo: { placement }, activities: [running, end] });
    const document = documentFrom(run, folder({ startedAt: at(1) }));
    expect(document).toMatchObject({
      status: 'canceling',
      started_at: at(1),
      finished_at: null,
      progress: { stage: 'ending' },
    });
    expect(document.progress.message).toContain('pid 7 (sleep)');
  });

  it('says that its node is away', () => {
    const end = { type: 'end', taken: false, heardAt: null, lastFailure: null, heartbeat: null };
    const run = runOf({ cancelRequested: true, memo: { placement }, activities: [running, end] });
    expect(documentFrom(run).progress.message).toBe('Waiting for node n1 to end it');
  });

  it('is canceled with its reason', () => {
    const memo = { placement, attempts: [{ attempt: 1, node: 'n1', outcome: canceled }], outcome: canceled };
    const document = documentFrom(runOf({ closed: closedAs('canceled'), cancelRequested: true, memo }));
    expect(document).toMatchObject({
      status: 'canceled',
      error: 'Canceled: changed my mind',
      finished_at: at(5),
      progress: { percent: 100 },
    });
    expect(document.progress.message).toBe('Canceled: changed my mind');
  });
});

describe('a job that was terminated in Temporal', () => {
  const run = runOf({ closed: closedAs('terminated', 'operator'), memo: { placement } });

  it('is canceling until its node has ended it', () => {
    expect(documentFrom(run, folder({ startedAt: at(1) }))).toMatchObject({
      status: 'canceling',
      finished_at: null,
      result: null,
    });
    expect(documentFrom(run, null).status).toBe('canceling');
  });

  it('is canceled afterwards, with the reason', () => {
    for (const attempt of [folder({ outcome: canceled }), folder({ over: true })]) {
      const document = documentFrom(run, attempt);
      expect(document.status).toBe('canceled');
      expect(document.progress.message).toContain('operator');
    }
  });

  it('is canceled at once if nothing was placed', () => {
    expect(documentFrom(runOf({ closed: closedAs('terminated') })).status).toBe('canceled');
  });
});

describe('a job that ended', () => {
  it('is what its outcome says', () => {
    const attempts = [{ attempt: 1, node: 'n1', outcome: successful }];
    const document = documentFrom(
      runOf({ closed: closedAs('completed'), memo: { placement, attempts, outcome: successful } }),
    );
    expect(document).toMatchObject({ status: 'successful', failure: null, error: null, attempt: 1 });
    const result = { rc: 0, stdout: 'x\n', stdout_truncated: false, stats: { a: counters }, outputs: {} };
    expect(document.result).toEqual(result);
    expect(document.hosts).toEqual({ a: { status: 'ok', ...counters } });
    expect(document.progress).toMatchObject({ percent: 100, tasks_done: 3, tasks_total: 3 });
  });

  it('tells its failure in one line, and what became of each host', () => {
    const stats = { a: counters, b: { ...counters, failures: 1 }, c: { ...counters, failures: 1, unreachable: 1 } };
    const outcome = { ...failed, stats };
    const document = documentFrom(runOf({ closed: closedAs('failed'), memo: { placement, outcome } }));
    expect(document).toMatchObject({
      status: 'failed',
      failure: { kind: 'exit' },
      error: 'ansible-playbook ended with rc 2',
    });
    expect(Object.values(document.hosts).map(({ status }) => status)).toEqual(['ok', 'failed', 'unreachable']);
  });

  it('has failed, honestly, when Temporal closed it without an outcome', () => {
    const run = runOf({ closed: closedAs('timed_out'), memo: { placement } });
    expect(documentFrom(run, folder({})).status).toBe('canceling');
    const document = documentFrom(run, folder({ outcome: successful }));
    expect(document).toMatchObject({ status: 'failed', failure: null });
    expect(document.error).toContain('timed_out');
  });

  it('never ends before it began, whatever the clocks say', () => {
    const outcome = { ...successful, started_at: at(-3), finished_at: at(-1) };
    const document = documentFrom(runOf({ closed: closedAs('completed'), memo: { placement, outcome } }));
    expect([document.created_at, document.started_at, document.finished_at]).toEqual([created, created, created]);
  });
});

describe('a run that is about to close', () => {
  it('is one that was canceled, or that nothing is asked of any more', () => {
    expect(isClosing(runOf({ memo: { placement }, activities: [running] }))).toBe(false);
    expect(isClosing(runOf({ memo: { placement } }))).toBe(true);
    expect(isClosing(runOf({}))).toBe(false);
    expect(isClosing(runOf({ memo: { placement }, activities: [running], cancelRequested: true }))).toBe(true);
    expect(isClosing(runOf({ closed: closedAs('completed'), memo: { placement } }))).toBe(false);
  });
});

describe('a task of which one host can not be reached', () => {
  const onHosts = { kind: 'task', placement: { node: null, attempt: 1 }, started_at: at(1) } as const;
  const waiting: PendingActivity = {
    ...running,
    type: 'prepareTargets',
    heartbeat: {
      started_at: null,
      tasks_done: 0,
      tasks_total: 1,
      message: "b can't be reached: no route",
      unusual: true,
      targets: { b: { message: "can't be reached: no route" } },
    },
  };
  const ofA: PendingActivity = {
    ...running,
    type: 'runTargets',
    heartbeat: {
      started_at: at(1),
      tasks_done: 0,
      tasks_total: 1,
      message: null,
      targets: { a: { status: 'running' } },
    },
  };
  const hosts_ended = { count: 1, targets: { a: { status: 'successful', started_at: at(1) } } } as const;

  it('is running with the others, and says which it is', () => {
    const run = runOf({ memo: onHosts, activities: [ofA, waiting] });
    expect(stateOf(run, null)).toMatchObject({ status: 'running', startedAt: at(1), message: reaching });
    expect(progressOfAll(heardOf(run))).toMatchObject({
      percent: 0,
      tasksTotal: 2,
      targets: { a: { status: 'running' }, b: { status: 'pending' } },
    });
  });

  it('is running, too, when the others have ended', () => {
    const run = runOf({ memo: { ...onHosts, hosts_ended }, activities: [waiting] });
    expect(stateOf(run, null)).toMatchObject({ status: 'running', startedAt: at(1), message: reaching });
    expect(progressOfAll(heardOf(run))).toMatchObject({
      percent: 50,
      tasksDone: 1,
      tasksTotal: 2,
      targets: { a: { status: 'successful' }, b: { status: 'pending' } },
    });
  });

  it('tells no share while nothing was heard of a part, and none of it is taken back', () => {
    const unheard = { ...ofA, heartbeat: null };
    const run = runOf({ memo: { ...onHosts, hosts_ended }, activities: [unheard] });
    expect(progressOfAll(heardOf(run))).toMatchObject({ percent: null, tasksDone: 1, tasksTotal: null });
  });

  const reaching = "Reaching its hosts: b can't be reached: no route";
});
