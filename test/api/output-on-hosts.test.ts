import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { inBrief } from '../../src/job/brief.js';
import type { RunEvidence } from '../../src/job/evidence.js';
import type { Failure } from '../../src/job/failure.js';
import type { TargetResult } from '../../src/job/outcome.js';
import { notStarted } from '../../src/job/progress.js';
import type { AttemptRecord, JobMemo } from '../../src/job/protocol.js';
import { stateOf } from '../../src/job/state.js';
import { outcomeOfTargets } from '../../src/job/target-outcome.js';
import { unreachableApi } from './unreachable.js';

const [start, end] = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z'];

/** How it ended on a host in an attempt. */
function result(attempt: number, failure: Failure['kind'] | null = null): TargetResult {
  return {
    ...notStarted,
    status: failure === null ? 'successful' : 'failed',
    failure: failure === null ? null : { kind: failure, message: 'why' },
    rc: failure === null ? 0 : failure === 'exit' ? 1 : null,
    ansible_job_id: `j${attempt}.1`,
    started_at: start,
    finished_at: end,
  };
}

/** What is here of a host in an attempt; without a result, it was not watched to its end here. */
interface Kept {
  attempt: number;
  host: string;
  printed: string;
  result?: TargetResult;
}

/** A run that has ended so, as an API sees it that has this of it on its machine. */
function ended(targets: Record<string, TargetResult>, kept: Kept[], more: Partial<JobMemo> = {}) {
  const closed = { as: 'completed' as const, at: end, reason: null, continuedBy: null };
  return seen({ closed, memo: { outcome: outcomeOfTargets(targets, end), ...more } }, kept);
}

async function seen({ closed = null, memo }: Partial<RunEvidence>, kept: Kept[]) {
  const api = await unreachableApi();
  const job = { tenant: 'default', playbookName: 'task', name: 'x' };
  for (const { attempt, host, printed, result } of kept) {
    const folder = path.join(api.folder, 'runs', 'default', 'task', 'x', 'run-1', String(attempt), 'hosts', host);
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'stdout'), printed);
    if (result !== undefined) await writeFile(path.join(folder, 'result.json'), JSON.stringify(result));
  }
  const run: RunEvidence = {
    job,
    runId: 'run-1',
    evidenceRunId: 'run-1',
    createdAt: start,
    closed,
    cancelRequested: false,
    memo: { kind: 'task', placement: { node: null, attempt: 1 }, started_at: start, ...memo },
    activities: [],
    failingTask: null,
  };
  vi.spyOn(api.jobs, 'see').mockResolvedValue({ run, state: stateOf(run, null) });
  const get = async (what: string) => {
    const response = await api.request(`/api/v1/jobs/task:x${what}`);
    return { status: response.status, text: await response.text() };
  };
  return { document: async () => JSON.parse((await get('')).text), stdout: (query = '') => get(`/stdout${query}`) };
}

/** Two attempts, as a run's memo has it. */
function twice(...outcomes: Record<string, TargetResult>[]): Partial<JobMemo> {
  const attempts = outcomes.map((targets, index): AttemptRecord => {
    return { attempt: index + 1, node: null, outcome: inBrief(outcomeOfTargets(targets, end)) };
  });
  return { placement: { node: null, attempt: attempts.length }, attempts };
}

describe('the output of a job that another node has watched to its end', () => {
  it('is not on this machine, though its first part is', async () => {
    const { document, stdout } = await ended({ web1: result(1) }, [{ attempt: 1, host: 'web1', printed: 'half' }]);
    expect(await document()).toMatchObject({ output_available: false, recent_logs: [], result: { stdout: '' } });
    for (const query of ['', '?attempt=1', '?host=web1'])
      expect(await stdout(query)).toMatchObject({
        status: 404,
        text: expect.stringContaining('not on this machine') as string,
      });
  });

  it('is here of those hosts that were watched to their end here', async () => {
    const { document, stdout } = await ended({ web1: result(1), web2: result(1) }, [
      { attempt: 1, host: 'web1', printed: 'half' },
      { attempt: 1, host: 'web2', printed: 'all\n', result: result(1) },
    ]);
    expect(await document()).toMatchObject({ output_available: false });
    expect(await stdout()).toMatchObject({ status: 404 });
    expect(await stdout('?host=web2')).toEqual({ status: 200, text: 'all\n' });
  });

  it('is not that of an attempt before', async () => {
    const { document } = await ended(
      { web1: result(2) },
      [{ attempt: 1, host: 'web1', printed: 'former', result: result(1, 'exit') }],
      twice({ web1: result(1, 'exit') }, { web1: result(2) }),
    );
    expect(await document()).toMatchObject({ output_available: false });
  });
});

it('a host that was given up or never started takes nothing from the output, and is not said to run', async () => {
  const never = { ...result(1, 'launch'), started_at: null, ansible_job_id: null };
  const { document, stdout } = await ended({ web1: result(1), web2: result(1, 'unreachable'), web3: never }, [
    { attempt: 1, host: 'web1', printed: 'one\n', result: result(1) },
    { attempt: 1, host: 'web2', printed: 'two\n' },
    { attempt: 1, host: 'constructor', printed: 'none\n' },
  ]);
  const printed =
    'constructor | END UNKNOWN >>\nnone\n' + 'web1 | SUCCESSFUL | rc=0 >>\none\nweb2 | UNREACHABLE >>\ntwo\n';
  expect(await document()).toMatchObject({ output_available: true, result: { stdout: printed } });
  expect((await stdout()).text).toBe(printed);
  expect(await stdout('?host=web3')).toMatchObject({ status: 404 });
});

it('the output of a job that ran again on some hosts has each host as it ran there last', async () => {
  const outcome = { web1: result(1), web2: result(2) };
  const { document, stdout } = await ended(
    outcome,
    [
      { attempt: 1, host: 'web1', printed: 'one\n', result: result(1) },
      { attempt: 1, host: 'web2', printed: 'failed\n', result: result(1, 'exit') },
      { attempt: 2, host: 'web2', printed: 'two\n', result: result(2) },
    ],
    twice({ web1: result(1), web2: result(1, 'exit') }, outcome),
  );
  const printed = 'web1 | SUCCESSFUL | rc=0 >>\none\nweb2 | SUCCESSFUL | rc=0 >>\ntwo\n';
  expect(await document()).toMatchObject({ output_available: true, result: { stdout: printed } });
  expect((await stdout()).text).toBe(printed);
  expect(await stdout('?host=web1')).toEqual({ status: 200, text: 'one\n' });
  expect(await stdout('?attempt=1&host=web2')).toEqual({ status: 200, text: 'failed\n' });
  expect(await stdout('?attempt=2')).toEqual({ status: 200, text: 'two\n' });
});

it('a job that runs is said to run where it does, and what it prints elsewhere is not here', async () => {
  const memo = { placement: { node: null, attempt: 2 } };
  const former = { attempt: 1, host: 'web1', printed: 'one\n', result: result(1) };
  const { stdout } = await seen({ memo }, [former, { attempt: 2, host: 'web2', printed: 'so far\n' }]);
  expect((await stdout()).text).toBe('web1 | SUCCESSFUL | rc=0 >>\none\nweb2 | RUNNING >>\nso far\n');
  const elsewhere = await seen({ memo }, [former]);
  expect(await elsewhere.document()).toMatchObject({ status: 'running', output_available: false });
});
