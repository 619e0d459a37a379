import {
  defineQuery,
  defineSignal,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Step, StepsSpec } from '../job/kinds/steps.js';
import type { Outcome } from '../job/outcome.js';
import { progressQuery, type JobInput, type JobMemo, type JobProgress } from '../job/protocol.js';
import { summaryOfEnd, type Ending } from '../job/step-outcome.js';
import { memoOfStep, stepStartSignal, type StepRecord, type StepStart } from '../job/step-protocol.js';
import { detailsOfSteps } from './steps-details.js';

/** Where a run of several steps shows how they stand: as `Board` does for what runs in one place. */
export class StepsBoard {
  private readonly records = new Map<string, StepRecord>();
  private stage: JobProgress['stage'] = 'placing';
  private outcome: Outcome | undefined;

  constructor(
    private readonly input: JobInput,
    private readonly spec: StepsSpec,
  ) {
    setHandler(defineQuery<JobProgress>(progressQuery), () => ({ stage: this.stage, placement: null, attempts: [] }));
    setHandler(defineSignal<[StepStart]>(stepStartSignal), (start) => {
      if (start.run_id === workflowInfo().originalExecutionRunId) this.runs(start.step, start.started_at);
    });
    this.show();
  }

  /** @param run_id of its workflow's first run */
  started({ name }: Step, run_id: string): void {
    if (!this.records.has(name)) this.put(name, { run_id, started_at: null, end: null, closed: null });
  }

  ended({ name }: Step, ending: Ending): void {
    const record = this.records.get(name) ?? { run_id: '', started_at: null };
    if ('closed' in ending) return this.put(name, { ...record, end: null, closed: ending.closed });
    const { started_at } = ending.outcome;
    this.put(name, { ...record, started_at, end: summaryOfEnd(ending), closed: null });
    if (started_at !== null) this.begins();
  }

  canceling(): void {
    this.stage = 'ending';
    upsertSearchAttributes({ status: ['canceling'] });
    this.show();
  }

  closing(outcome: Outcome): void {
    this.stage = 'ended';
    this.outcome = outcome;
    upsertMemo({ outcome } satisfies Partial<JobMemo>);
    const failure = outcome.status === 'failed' ? [outcome.failure.kind] : [];
    const expires_at = [new Date(Date.now() + this.spec.ttl * 1000)];
    upsertSearchAttributes({ status: [outcome.status], failure, expires_at });
    this.show();
  }

  private runs(step: string, started_at: string): void {
    const record = this.records.get(step);
    if (record === undefined || record.end !== null) return;
    this.put(step, { ...record, started_at });
    this.begins();
  }

  private begins(): void {
    if (this.stage !== 'placing') return;
    this.stage = 'running';
    upsertSearchAttributes({ status: ['running'] });
  }

  private put(step: string, record: StepRecord): void {
    this.records.set(step, record);
    upsertMemo({ ...memoOfStep(step, record) });
    this.show();
  }

  private show(): void {
    const { input, spec, records, stage, outcome } = this;
    setCurrentDetails(detailsOfSteps({ input, spec, records, stage, outcome }));
  }
}
